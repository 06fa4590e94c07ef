import { attributesOf, makeNode } from '../format/node.js'
import type { Node } from '../generated/onnx_pb.js'
import type { GraphView } from '../quantize/view.js'
import type { Pass } from './edit.js'

/** Takes out nodes that give what they take. */
export const removeIdentities: Pass = (view, edit) => {
  for (const node of view.graph.node) if (isIdentity(node, view)) edit.bypass(node)
}

function isIdentity(node: Node, view: GraphView): boolean {
  switch (node.opType) {
    case 'Identity':
      return true
    case 'Dropout': {
      // While a model is used, dropout passes everything; its mask would be all true.
      const mask = node.output[1] ?? ''
      const training = node.input[2] ?? ''
      const isOff = training === '' || view.constant(training)?.data[0] === 0
      return isOff && (mask === '' || (view.consumers(mask).length === 0 && !view.escapes(mask)))
    }
    case 'Transpose': {
      const { perm } = attributesOf(node)
      return Array.isArray(perm) && perm.every((axis, at) => Number(axis) === at)
    }
    case 'Concat':
    case 'Sum':
    case 'Max':
    case 'Min':
    case 'Mean':
      return node.input.length === 1
    case 'Pad': {
      const { pads } = attributesOf(node)
      const values = Array.isArray(pads) ? pads : view.constant(node.input[1])?.data
      return values !== undefined && Array.from(values as ArrayLike<unknown>, Number).every((pad) => pad === 0)
    }
    default:
      return false
  }
}

/** Two transpositions in a row become one. */
export const joinTransposes: Pass = (view, edit) => {
  for (const node of view.graph.node) {
    const before = view.producer(node.input[0])
    if (node.opType !== 'Transpose' || before?.opType !== 'Transpose') continue
    const [first, second] = [before, node].map((item) => attributesOf(item)['perm'])
    if (!Array.isArray(first) || !Array.isArray(second) || !edit.claim(node, before)) continue
    const perm = second.map((axis) => BigInt(first[Number(axis)] as bigint))
    edit.replace(node, makeNode('Transpose', [before.input[0] ?? ''], node.output, { perm }, node.name))
  }
}

/**
 * A reshape of the model's input that only moves a channel dimension of one to the front is a transposition, which
 * engines push through the layers that follow and drop, as they cannot do with a reshape.
 */
export const reshapeToTranspose: Pass = (view, edit) => {
  const shapes = new Map(
    view.graph.input.map((info) => {
      const type = info.type?.value
      const dims = type?.case === 'tensorType' ? (type.value.shape?.dim ?? []) : []
      return [info.name, dims.map(({ value }) => (value.case === 'dimValue' ? Number(value.value) : undefined))]
    }),
  )
  for (const node of view.graph.node) {
    const from = shapes.get(node.input[0])
    const to = node.opType === 'Reshape' ? view.constant(node.input[1]) : undefined
    if (from === undefined || to === undefined || from.length < 3 || from.at(-1) !== 1) continue
    const [batch, channel, ...rest] = Array.from(to.data as ArrayLike<unknown>, Number)
    const spatial = from.slice(1, -1)
    const isMove = channel === 1 && rest.length === spatial.length && rest.every((size, at) => size === spatial[at])
    // A first size of 0 copies the batch, -1 is what is left: the batch.
    if (!isMove || !(batch === -1 || batch === 0 || batch === from[0]) || !edit.claim(node)) continue
    const perm = [0, from.length - 1, ...spatial.map((_, at) => at + 1)].map(BigInt)
    edit.replace(node, makeNode('Transpose', [node.input[0] ?? ''], node.output, { perm }, node.name))
  }
}
