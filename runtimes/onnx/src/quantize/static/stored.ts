import { linearOf } from '../../cleanup/linear.js'
import { ELEMENT_TYPE } from '../../format/types.js'
import type { Node } from '../../generated/onnx_pb.js'
import { MIN_SCALE, quantize, symmetricScale } from '../reference.js'
import { type GraphView, labelOf } from '../view.js'
import { WEIGHT } from './weights.js'
import type { Writer } from './writer.js'

/** Below so many weights, two nodes and a scale for each channel take more room than is won. */
const MIN_WEIGHTS = 256

/** Weights kept as int8 in the file alone: what runs is float. */
export interface StoredWeights {
  readonly label: string
  readonly node: Node
  /** Which input of the node they are. */
  readonly place: number
  readonly shape: readonly number[]
  readonly weight: Int8Array
  /** Broadcasts against the weights: one for each place of one axis. */
  readonly scales: Float32Array
  readonly scaleShape: readonly number[]
  /** What they stand for, and what they were. */
  readonly rounded: Float32Array
  readonly real: Float32Array
}

/**
 * The weights of a layer or a table as int8 with a scale per output channel (or row of a table), over all of -127 to
 * 127: sums are float, so nothing can saturate. Undefined where a node has none, or so few that nothing is won.
 */
export function storedWeights(node: Node, view: GraphView): StoredWeights | undefined {
  const found = axisOf(node, view)
  const tensor = found && view.constant(node.input[found.place])
  if (found === undefined || tensor?.dtype !== 'float32' || tensor.data.length < MIN_WEIGHTS) return undefined
  if (!tensor.data.every(Number.isFinite)) return undefined
  const { place, axis } = found
  const { shape, data } = tensor
  const inner = shape.slice(axis + 1).reduce((product, size) => product * size, 1)
  const size = shape[axis] ?? 1
  const peaks = new Float32Array(size)
  for (let i = 0; i < data.length; i++) {
    const channel = Math.floor(i / inner) % size
    peaks[channel] = Math.max(peaks[channel] ?? 0, Math.abs(data[i] ?? 0))
  }
  const scales = peaks.map((peak) => (peak === 0 ? MIN_SCALE : symmetricScale(peak, WEIGHT)))
  const scaleAt = (i: number): number => scales[Math.floor(i / inner) % size] ?? 1
  const weight = Int8Array.from(data, (value, i) => quantize(value, { scale: scaleAt(i), zeroPoint: 0 }, WEIGHT))
  return {
    label: labelOf(node),
    node,
    place,
    shape,
    weight,
    scales,
    scaleShape: shape.map((_, at) => (at === axis ? size : 1)),
    rounded: Float32Array.from(weight, (q, i) => q * scaleAt(i)),
    real: data,
  }
}

/** Where a node's weights are, and the axis that has a scale for each place. */
function axisOf(node: Node, view: GraphView): { readonly place: number; readonly axis: number } | undefined {
  const { opType = '', domain = '' } = node
  if (domain !== '' && domain !== 'ai.onnx') return undefined
  if (opType === 'Gather') return view.constant(node.input[0])?.shape.length === 2 ? { place: 0, axis: 0 } : undefined
  if (!['Conv', 'ConvTranspose', 'Gemm', 'MatMul'].includes(opType)) return undefined
  const layer = linearOf(node.output[0] ?? '', view)
  if (layer === undefined || view.constant(node.input[0]) !== undefined) return undefined
  if (opType === 'Conv') return { place: 1, axis: 0 }
  // Outputs lie on the second axis, but in a transposed convolution of several groups only with the first one's.
  const isGrouped = opType === 'ConvTranspose' && layer.outputs !== layer.weight.shape[1]
  return { place: 1, axis: isGrouped ? 0 : 1 }
}

/**
 * Writes the weights and how they become float: a cast and a product, which engines compute once, when they load the file
 * (a DequantizeLinear would be kept for integer kernels, and run each time). Returns the name of the float weights.
 */
export function emitStored(writer: Writer, { shape, weight, scales, scaleShape }: StoredWeights): string {
  const integers = writer.constant({ dtype: 'int8', shape, data: weight })
  const scale = writer.constant({ dtype: 'float32', shape: scaleShape, data: scales })
  const [cast, product] = [writer.names.fresh(), writer.names.fresh()]
  writer.add('Cast', [integers], [cast], { to: BigInt(ELEMENT_TYPE.float32) })
  writer.add('Mul', [cast, scale], [product])
  return product
}
