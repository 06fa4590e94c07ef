import { attributesOf, makeNode, operatorOf } from '../format/node.js'
import type { Node } from '../generated/onnx_pb.js'
import type { GraphView } from '../quantize/view.js'
import type { Pass } from './edit.js'

/** Zeros that a Pad puts around the places of an image become the padding of the convolution that follows. */
export const foldPads: Pass = (view, edit) => {
  for (const node of view.graph.node) {
    if (operatorOf(node) !== 'Conv') continue
    const value = node.input[0] ?? ''
    const pad = view.producer(value)
    if (pad === undefined || operatorOf(pad) !== 'Pad' || view.consumers(value).length !== 1 || view.escapes(value))
      continue
    const around = zerosAround(pad, view)
    const attributes = attributesOf(node)
    const { auto_pad: auto = 'NOTSET' } = attributes
    if (around === undefined || (auto !== 'NOTSET' && auto !== 'VALID')) continue
    const own = (attributes['pads'] as readonly bigint[] | undefined) ?? around.map(() => 0n)
    if (own.length !== around.length || !edit.claim(node, pad)) continue
    const { auto_pad: _, ...others } = attributes
    const pads = own.map((size, at) => size + BigInt(around[at] ?? 0))
    edit.replace(pad)
    edit.replace(
      node,
      makeNode('Conv', [pad.input[0] ?? '', ...node.input.slice(1)], node.output, { ...others, pads }, node.name),
    )
  }
}

/** A Pad's sizes as a convolution's `pads`, where it adds zeros to the spatial axes alone. */
function zerosAround(node: Node, view: GraphView): number[] | undefined {
  // Up to operator set 10, sizes and the filler are attributes.
  const { mode = 'constant', pads: old, value = 0 } = attributesOf(node)
  const axes = node.input[3] ?? ''
  const filler = node.input[2] ?? ''
  const isZero = filler === '' ? value === 0 : Number(view.constant(filler)?.data[0] ?? Number.NaN) === 0
  const tensor = Array.isArray(old) ? old : view.constant(node.input[1])?.data
  if (mode !== 'constant' || axes !== '' || !isZero || tensor === undefined) return undefined
  const sizes = Array.from(tensor as ArrayLike<unknown>, Number)
  const rank = sizes.length / 2
  const [begin, end] = [sizes.slice(0, rank), sizes.slice(rank)]
  if (sizes.some((size) => size < 0)) return undefined
  if (rank < 3 || [begin[0], begin[1], end[0], end[1]].some((size) => size !== 0)) return undefined
  return [...begin.slice(2), ...end.slice(2)]
}
