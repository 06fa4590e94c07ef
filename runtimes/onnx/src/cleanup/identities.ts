import { attributesOf, makeNode, operatorOf } from '../format/node.js'
import type { Node } from '../generated/onnx_pb.js'
import type { GraphView } from '../quantize/view.js'
import { limitsOf } from './activations.js'
import type { Pass } from './edit.js'
import { ranksOf } from './rank.js'

/** Takes out nodes that give what they take. */
export const removeIdentities: Pass = (view, edit) => {
  for (const node of view.graph.node) if (isIdentity(node, view)) edit.bypass(node)
}

function isIdentity(node: Node, view: GraphView): boolean {
  switch (operatorOf(node)) {
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

const POOLS_ALL = new Set(['GlobalAveragePool', 'GlobalMaxPool'])

/**
 * What makes a matrix of a mean over all places (a reshape, or a flattening) becomes a Squeeze of the dimensions that are
 * one: engines that keep channels last see through it.
 */
export const squeezePooled: Pass = (view, edit) => {
  const rankOf = ranksOf(view)
  for (const node of view.graph.node) {
    const pooled = view.producer(node.input[0])
    const rank = rankOf(pooled?.input[0])
    if (pooled === undefined || !POOLS_ALL.has(operatorOf(pooled)) || rank === undefined || rank < 3) continue
    if (!makesMatrix(node, view) || !edit.claim(node)) continue
    const data = BigInt64Array.from({ length: rank - 2 }, (_, at) => BigInt(at + 2))
    const axes = edit.constant('axes', { dtype: 'int64', shape: [rank - 2], data })
    edit.replace(node, makeNode('Squeeze', [node.input[0] ?? '', axes], node.output, {}, node.name))
  }
}

/** Whether it keeps the first dimension and joins the others, where all but the second of them are one. */
function makesMatrix(node: Node, view: GraphView): boolean {
  if (operatorOf(node) === 'Flatten') return (attributesOf(node)['axis'] ?? 1n) === 1n
  if (operatorOf(node) !== 'Reshape') return false
  const sizes = Array.from((view.constant(node.input[1])?.data ?? []) as ArrayLike<unknown>, Number)
  const [rows, columns] = sizes
  if (sizes.length !== 2) return false
  // Rows as they are, and columns that are what is left; or the reverse with as many columns as there are channels.
  if (rows === 0) return columns === -1 || columns === channelsOf(node, view)
  // One channel may have been spread over many by an Add.
  return rows === -1 && columns !== 1 && columns === channelsOf(node, view)
}

/** The channels of a pooled value, where the convolution before it tells. */
function channelsOf(node: Node, view: GraphView): number | undefined {
  for (let maker = view.producer(node.input[0]); maker !== undefined; maker = view.producer(maker.input[0])) {
    const shape = view.constant(maker.input[1])?.shape
    if (operatorOf(maker) === 'Conv') return shape?.[0]
    if (operatorOf(maker) === 'Add') continue
    if (!POOLS_ALL.has(operatorOf(maker)) && limitsOf(maker, view) === undefined) return undefined
  }
  return undefined
}

/** Two transpositions in a row become one. */
export const joinTransposes: Pass = (view, edit) => {
  for (const node of view.graph.node) {
    const before = view.producer(node.input[0])
    if (before === undefined || [node, before].some((item) => operatorOf(item) !== 'Transpose')) continue
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
    const to = operatorOf(node) === 'Reshape' ? view.constant(node.input[1]) : undefined
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
