import type { Tensor } from '@tideway/core'
import type { Dim } from '../build/value.js'
import type { ImportedNode } from '../import/model.js'
import type { Channels, Flow } from './channels.js'

/** What a rule sees of a node. */
export interface Visit {
  readonly node: ImportedNode
  readonly channels: Channels
  /** The channels of an input; undefined for a stored tensor, and where they are not known. */
  flow(place: number): Flow | undefined
  tensor(place: number): Tensor | undefined
  /** The shape of an input, and of the first output. */
  shape(place: number): readonly Dim[]
  readonly output: readonly Dim[]
  /** Says that a stored tensor goes with channels along an axis. */
  slot(place: number, axis: number, ids: readonly number[]): void
  /** The same of a kernel that makes these channels. */
  maker(place: number, axis: number, ids: readonly number[]): void
}

/** The channels of the first output; or why a node's channels have to stay as they are. */
export type ChannelRule = (v: Visit) => Flow | string

const NOT_STORED = 'its weights are computed'
const UNKNOWN = 'the channels of what it takes are not known'
const OTHER_AXIS = 'what it takes has its channels on another axis'

const convolution: ChannelRule = (v) => {
  const kernel = v.tensor(1)
  const input = v.flow(0)
  if (kernel === undefined || (v.node.inputs[2] && v.tensor(2) === undefined)) return NOT_STORED
  if (input !== undefined && input.axis !== 1) return OTHER_AXIS
  const isTransposed = v.node.opType === 'ConvTranspose'
  const groups = Number(v.node.attributes['group'] ?? 1)
  const [first = 0, second = 0] = kernel.shape
  if (groups === 1) {
    const [inAxis, outAxis, outputs] = isTransposed ? [0, 1, second] : [1, 0, first]
    if (input !== undefined) v.slot(1, inAxis, input.ids)
    const ids = v.channels.fresh(outputs)
    v.maker(1, outAxis, ids)
    if (v.tensor(2) !== undefined) v.slot(2, 0, ids)
    return { axis: 1, ids }
  }
  if (isTransposed || second !== 1 || input === undefined || input.ids.length !== groups)
    return 'its groups have several channels each'
  // Depthwise: what it makes of a channel goes with that channel.
  const ids = input.ids.flatMap((id) => Array.from({ length: first / groups }, () => id))
  v.maker(1, 0, ids)
  if (v.tensor(2) !== undefined) v.slot(2, 0, ids)
  return { axis: 1, ids }
}

const product: ChannelRule = (v) => {
  const matrix = v.tensor(1)
  if (matrix === undefined || matrix.shape.length !== 2) return NOT_STORED
  if (Number(v.node.attributes['transA'] ?? 0) !== 0) return 'it transposes its first input'
  const isTurned = Number(v.node.attributes['transB'] ?? 0) !== 0
  const [inAxis, outAxis] = isTurned ? [1, 0] : [0, 1]
  const input = v.flow(0)
  const rank = v.shape(0).length
  if (input !== undefined && input.axis !== rank - 1) return 'it sums over places, not over channels'
  if (input !== undefined) v.slot(1, inAxis, input.ids)
  const ids = v.channels.fresh(matrix.shape[outAxis] ?? 0)
  v.maker(1, outAxis, ids)
  const bias = v.tensor(2)
  if (v.node.inputs[2] && (bias === undefined || !alongChannels(v, 2, bias, rank - 1, ids))) return NOT_STORED
  return { axis: rank - 1, ids }
}

/** Slices a constant that broadcasts against channels at an axis; false for one that does so in another way. */
function alongChannels(v: Visit, place: number, { shape }: Tensor, axis: number, ids: readonly number[]): boolean {
  const own = axis - (v.output.length - shape.length)
  const size = own < 0 ? 1 : shape[own]
  if (size === 1) return true
  if (size !== ids.length) return false
  v.slot(place, own, ids)
  return true
}

const normalization: ChannelRule = (v) => {
  const input = v.flow(0)
  const stored = [1, 2, 3, 4].map((place) => v.tensor(place))
  if (input === undefined) return UNKNOWN
  if (input.axis !== 1) return OTHER_AXIS
  if (stored.includes(undefined)) return NOT_STORED
  for (const place of [1, 2, 3, 4]) v.slot(place, 0, input.ids)
  const [scale, , , variance] = stored
  const epsilon = Number(v.node.attributes['epsilon'] ?? 1e-5)
  for (const [place, id] of input.ids.entries())
    v.channels.scale(id, Math.abs(Number(scale?.data[place])) / Math.sqrt(Number(variance?.data[place]) + epsilon))
  return input
}

const same: ChannelRule = (v) => v.flow(0) ?? UNKNOWN

/** Pools slide along every axis but the second. */
const pooled: ChannelRule = (v) => {
  const input = v.flow(0)
  return input !== undefined && input.axis !== 1 ? OTHER_AXIS : (input ?? UNKNOWN)
}

/** Values that are added, multiplied or compared element by element share their channels. */
const together: ChannelRule = (v) => {
  const flows = v.node.inputs.map((_, place) => v.flow(place))
  const [first, ...others] = flows.flatMap((flow) => flow ?? [])
  if (first === undefined) return UNKNOWN
  for (const [place] of v.node.inputs.entries()) {
    const tensor = v.tensor(place)
    if (tensor !== undefined && !alongChannels(v, place, tensor, first.axis, first.ids))
      return 'a constant broadcasts its channels'
    if (tensor === undefined && flows[place] === undefined) return UNKNOWN
    if (tensor === undefined && v.shape(place).length !== v.output.length) return 'what it takes has other axes'
  }
  if (others.some(({ axis, ids }) => axis !== first.axis || ids.length !== first.ids.length))
    return 'what it takes has other channels'
  for (const { ids } of others) v.channels.unite(first.ids, ids)
  return first
}

const joined: ChannelRule = (v) => {
  const flows = v.node.inputs.map((_, place) => v.flow(place))
  const [first] = flows
  if (first === undefined || flows.some((flow) => flow?.axis !== first.axis)) return UNKNOWN
  const axis = Number(v.node.attributes['axis'] ?? 1)
  const at = axis < 0 ? axis + v.output.length : axis
  if (at === first.axis) return { axis: at, ids: flows.flatMap((flow) => flow?.ids ?? []) }
  for (const flow of flows) v.channels.unite(first.ids, flow?.ids ?? [])
  return first
}

const transposed: ChannelRule = (v) => {
  const input = v.flow(0)
  const perm = v.node.attributes['perm'] as readonly bigint[] | undefined
  if (input === undefined || perm === undefined) return UNKNOWN
  return { axis: perm.map(Number).indexOf(input.axis), ids: input.ids }
}

/** Rows of several axes as rows of one: each number goes with the channel that it was of. */
const flattened: ChannelRule = (v) => {
  const input = v.flow(0)
  const [, ...sizes] = v.shape(0)
  const known = sizes.every((size) => typeof size === 'number')
  const count = sizes.reduce<number>((all, size) => all * Number(size), 1)
  if (input === undefined || !known) return UNKNOWN
  if (v.output.length !== 2 || v.output[1] !== count) return 'it moves channels into other axes'
  const inner = sizes.slice(input.axis).reduce<number>((all, size) => all * Number(size), 1)
  const width = input.ids.length
  return { axis: 1, ids: Array.from({ length: count }, (_, at) => input.ids[Math.floor(at / inner) % width] ?? 0) }
}

/** A mean, sum or extreme over places. */
const reduced: ChannelRule = (v) => {
  const input = v.flow(0)
  if (input === undefined) return UNKNOWN
  const rank = v.shape(0).length
  const given = (v.node.attributes['axes'] as readonly bigint[] | undefined) ?? v.tensor(1)?.data
  if (given === undefined) return 'it reduces over channels'
  const axes = Array.from(given as Iterable<bigint>, Number).map((axis) => (axis < 0 ? axis + rank : axis))
  if (axes.includes(input.axis)) return 'it reduces over channels'
  const keeps = Number(v.node.attributes['keepdims'] ?? 1) !== 0
  return { ids: input.ids, axis: keeps ? input.axis : input.axis - axes.filter((axis) => axis < input.axis).length }
}

/** Padding of places. */
const padded: ChannelRule = (v) => {
  const input = v.flow(0)
  const pads = v.tensor(1)?.data
  if (input === undefined || pads === undefined) return UNKNOWN
  if (v.tensor(3) !== undefined) return 'it pads some axes'
  const rank = v.output.length
  return [input.axis, input.axis + rank].every((at) => Number(pads[at]) === 0) ? input : 'it pads channels'
}

const named = (rule: ChannelRule, operators: string): Record<string, ChannelRule> =>
  Object.fromEntries(operators.split(' ').map((operator) => [operator, rule]))

/** How channels go through operators. Others leave all of theirs as they are. */
export const CHANNEL_RULES: Readonly<Record<string, ChannelRule>> = {
  ...named(convolution, 'Conv ConvTranspose'),
  ...named(product, 'Gemm MatMul'),
  BatchNormalization: normalization,
  ...named(pooled, 'AveragePool GlobalAveragePool GlobalMaxPool MaxPool'),
  ...named(
    same,
    'Abs Cast Clip Dropout Elu Erf Exp Gelu HardSigmoid HardSwish Identity LeakyRelu Neg Relu Selu Sigmoid',
  ),
  ...named(same, 'Softplus Softsign Sqrt Tanh'),
  ...named(together, 'Add Sub Mul Div Max Min Sum'),
  Concat: joined,
  Transpose: transposed,
  Pad: padded,
  ...named(flattened, 'Flatten Reshape Squeeze'),
  ...named(reduced, 'ReduceMean ReduceSum ReduceMax ReduceMin'),
}
