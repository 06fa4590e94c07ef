import { kernelOf } from './infer-spatial.js'
import type { Lowering } from './lower.js'
import { int64s, type Value } from './value.js'
import { windowOf } from './window.js'

/** Planes up to this wide are cheaper to slide over with the batch as the last axis (measured: docs/gradients.md). */
const NARROW = 12
/** Fewer images than this fill no vector. */
const FEW = 8

export const isNarrow = (counts: readonly number[]): boolean => (counts.at(-1) ?? 1) <= NARROW

/**
 * A depthwise Conv on narrow planes, the batch being known, as in training: the batch becomes one more spatial axis, so
 * that the kernel slides over whole batches. A model that is shipped has a free batch and keeps the plain Conv.
 */
export const lowerConv: Lowering = (g, node, name) => {
  const [x, weights, bias] = [node.in(0), node.in(1), node.inputs[2]]
  const [filters, each] = weights.shape
  const group = node.int('group', 1)
  const [batch, , ...image] = x.shape
  const sizes = image.map(Number)
  if (typeof batch !== 'number' || batch < FEW || x.dtype !== 'float32' || image.length > 2) return undefined
  if (group === 1 || filters !== group || each !== 1 || !sizes.every(Number.isInteger) || !isNarrow(sizes))
    return undefined
  const { kernel, strides, dilations, begin, end } = windowOf(node, kernelOf(node), image)
  const axes = x.shape.map((_, axis) => axis)
  const turn = (value: Value, by: number, as?: string): Value =>
    g.op(
      'Transpose',
      [value],
      { perm: axes.map((axis) => BigInt((axis + by + axes.length) % axes.length)) },
      as === undefined ? {} : { name: as },
    )
  const at = (place: number): Value => g.constant(int64s([place]))
  const inputs = [g.op('Unsqueeze', [turn(x, 1), at(0)]), g.op('Unsqueeze', [weights, at(-1)])]
  const y = g.op('Conv', bias === undefined ? inputs : [...inputs, bias], {
    kernel_shape: [...kernel, 1].map(BigInt),
    strides: [...strides, 1].map(BigInt),
    dilations: [...dilations, 1].map(BigInt),
    pads: [...begin, 0, ...end, 0].map(BigInt),
    group: BigInt(group),
  })
  return [turn(g.op('Squeeze', [y, at(0)]), -1, name)]
}
