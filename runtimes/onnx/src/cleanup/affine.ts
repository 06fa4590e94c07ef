import type { Tensor } from '@tideway/core'
import { attributesOf, operatorOf } from '../format/node.js'
import type { Node } from '../generated/onnx_pb.js'
import type { GraphView } from '../quantize/view.js'

/** y = scale · x + shift with constants: one pair for all of x, or one per place of one axis. */
export interface Affine {
  /** The value that it is applied to. */
  readonly input: string
  /** One number each, or as many as the axis has places. */
  readonly scale: Float64Array
  readonly shift: Float64Array
  /** From the front, or negative from the end; undefined with one number for all. */
  readonly axis: number | undefined
}

/** What a node computes, where it is an affine function with constants: batch normalization, or arithmetic with a constant. */
export function affineOf(node: Node, view: GraphView): Affine | undefined {
  const opType = operatorOf(node)
  if (opType === 'BatchNormalization') return normalization(node, view)
  if (!['Add', 'Sub', 'Mul', 'Div'].includes(opType)) return undefined
  const [left = '', right = ''] = node.input
  const first = view.constant(left)
  const second = view.constant(right)
  if ((first === undefined) === (second === undefined)) return undefined
  const constant = spread(first ?? second)
  if (constant === undefined) return undefined
  const { values, axis } = constant
  const input = first === undefined ? left : right
  const all = (value: number): Float64Array => new Float64Array(values.length).fill(value)
  if (opType === 'Add') return { input, axis, scale: all(1), shift: values }
  if (opType === 'Mul') return { input, axis, scale: values, shift: all(0) }
  if (opType === 'Sub' && first === undefined) return { input, axis, scale: all(1), shift: values.map((x) => -x) }
  if (opType === 'Sub') return { input, axis, scale: all(-1), shift: values }
  if (first === undefined && values.every((x) => x !== 0))
    return { input, axis, scale: values.map((x) => 1 / x), shift: all(0) }
  return undefined
}

function normalization(node: Node, view: GraphView): Affine | undefined {
  const { epsilon = 1e-5, training_mode: training = 0n } = attributesOf(node)
  if (training !== 0n || node.output.slice(1).some((name) => name !== '')) return undefined
  const tensors = node.input.slice(1, 5).map((name) => floats(view.constant(name)))
  const [gamma, beta, mean, variance] = tensors
  if (gamma === undefined || beta === undefined || mean === undefined || variance === undefined) return undefined
  const scale = Float64Array.from(gamma, (g, c) => g / Math.sqrt((variance[c] ?? 0) + Number(epsilon)))
  const shift = Float64Array.from(beta, (b, c) => b - (mean[c] ?? 0) * (scale[c] ?? 0))
  if (![scale, shift].every((values) => values.every(Number.isFinite))) return undefined
  return { input: node.input[0] ?? '', scale, shift, axis: 1 }
}

/** A constant with one value, or with values along one axis, counted from the end as broadcasting does. */
function spread(tensor: Tensor | undefined): { values: Float64Array; axis: number | undefined } | undefined {
  const values = floats(tensor)
  if (tensor === undefined || values === undefined || !values.every(Number.isFinite)) return undefined
  const wide = tensor.shape.flatMap((size, axis) => (size === 1 ? [] : [axis]))
  if (wide.length > 1 || values.length === 0) return undefined
  const [axis] = wide
  return { values: Float64Array.from(values), axis: axis === undefined ? undefined : axis - tensor.shape.length }
}

/** The dimensions that a constant lifts its partner to. */
export const rankOfConstant = (node: Node, view: GraphView): number =>
  Math.max(0, ...node.input.map((name) => view.constant(name)?.shape.length ?? 0))

export function floats(tensor: Tensor | undefined): Float32Array | undefined {
  return tensor?.dtype === 'float32' ? tensor.data : undefined
}
