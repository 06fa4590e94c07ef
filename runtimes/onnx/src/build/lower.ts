import type { Attributes } from '../format/node.js'
import { ELEMENT_TYPE } from '../format/types.js'
import type { NodeContext } from './context.js'
import { FAKE_QUANTIZE, lowerFakeQuantize } from './fake-quantize.js'
import type { GraphBuilder } from './graph-builder.js'
import { LEARNED_QUANTIZE, lowerLearnedQuantize } from './learned-quantize.js'
import { lowerElements, lowerMaxPool, lowerTranspose } from './lower-blocked.js'
import { lowerConv } from './lower-conv.js'
import { lowerBatchNormalization } from './lower-normalization.js'
import { lowerRecurrent } from './lower-recurrent.js'
import { floats, int64s, isFloat, type Value } from './value.js'

/** What a lowering writes with. */
export interface Writer {
  op(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes?: Attributes,
    options?: { readonly name?: string },
  ): Value
  constant(tensor: ReturnType<typeof floats>): Value
}

/**
 * How an operator is written in the model, in other operators: its outputs, the first under `name`. Values beyond the
 * operator's own outputs are for its gradient. Undefined where the operator itself is written.
 */
export type Lowering = (g: GraphBuilder, node: NodeContext, name: string) => Value[] | undefined

const int64 = (g: Writer, ...values: readonly number[]): Value => g.constant(int64s(values))

/**
 * x Φ(x) (Hendrycks and Gimpel 2016, arXiv:1606.08415), in the form that ONNX Runtime recognizes and runs as one
 * kernel; the second value is 1 + erf(x / √2), or 1 + tanh(...) where approximate.
 */
const gelu: Lowering = (g, node, name) => {
  const x = node.in(0)
  if (!isFloat(x.dtype)) throw node.invalid(`its input is ${x.dtype}, not float32 or float64`)
  const by = (value: Value, factor: number): Value => g.op('Mul', [value, scalar(g, x, factor)])
  const inner =
    node.attributes['approximate'] === 'tanh'
      ? g.op('Tanh', [by(g.op('Add', [x, by(g.op('Pow', [x, scalar(g, x, 3)]), 0.044715)]), Math.sqrt(2 / Math.PI))])
      : g.op('Erf', [g.op('Div', [x, scalar(g, x, Math.SQRT2)])])
  const bell = g.op('Add', [inner, scalar(g, x, 1)])
  return [g.op('Mul', [g.op('Mul', [x, bell]), scalar(g, x, 0.5)], {}, { name }), bell]
}

const scalar = (g: Writer, like: Value, value: number): Value => g.constant(floats(like.dtype, [value]))

/**
 * -log softmax(scores)[label], weighed: the loss, the logarithms, the labels with a class axis (0 where ignored), and
 * the weights where there are any. The engine's own expansion takes eleven nodes where this takes five.
 */
const crossEntropy: Lowering = (g, node, name) => {
  const [scores, labels] = [node.in(0), node.in(1)]
  const reduction = node.attributes['reduction'] ?? 'mean'
  const ignored = node.attributes['ignore_index']
  const skip = ignored === undefined ? undefined : g.op('Equal', [labels, whole(g, labels, Number(ignored))])
  const safe = skip === undefined ? labels : g.op('Where', [skip, whole(g, labels, 0), labels])
  const index = g.op('Unsqueeze', [safe, int64(g, 1)])
  const logs = logSoftmax(g, scores, 1)
  const picked = g.op('GatherElements', [logs, index], { axis: 1n })
  const weights = classWeights(g, node, safe, skip)
  const total = (value: Value): Value => g.op('ReduceSum', [value], { keepdims: 0n })
  if (weights === undefined) {
    const reduced =
      reduction === 'none'
        ? g.op('Squeeze', [picked, int64(g, 1)])
        : g.op(reduction === 'sum' ? 'ReduceSum' : 'ReduceMean', [picked], { keepdims: 0n })
    return [g.op('Neg', [reduced], {}, { name }), logs, index]
  }
  const each = (options = {}): Value =>
    g.op('Mul', [g.op('Neg', [g.op('Squeeze', [picked, int64(g, 1)])]), weights], {}, options)
  if (reduction === 'none') return [each({ name }), logs, index, weights]
  if (reduction === 'sum') return [g.op('ReduceSum', [each()], { keepdims: 0n }, { name }), logs, index, weights]
  return [g.op('Div', [total(each()), total(weights)], {}, { name }), logs, index, weights]
}

/** log softmax(x) along an axis, stable as the operator is: the largest is subtracted first. */
function logSoftmax(g: GraphBuilder, x: Value, axis: number, name?: string): Value {
  const named = name === undefined ? {} : { name }
  if (!g.without.has('LogSoftmax')) return g.op('LogSoftmax', [x], { axis: BigInt(axis) }, named)
  const less = g.op('Sub', [x, g.op('ReduceMax', [x], { axes: [BigInt(axis)], keepdims: 1n })])
  const sum = g.op('ReduceSum', [g.op('Exp', [less]), int64(g, axis)], { keepdims: 1n })
  return g.op('Sub', [less, g.op('Log', [sum])], {}, named)
}

const lowerLogSoftmax: Lowering = (g, node, name) =>
  g.without.has('LogSoftmax') ? [logSoftmax(g, node.in(0), node.int('axis', -1), name)] : undefined

/** Places along a new axis, compared to each index. */
const lowerOneHot: Lowering = (g, node, name) => {
  const [indices, values] = [node.in(0), node.constant(2)]
  const [depth] = node.constantInts(1) ?? []
  const plain = node.int('axis', -1) === -1 && values?.dtype === 'float32' && depth !== undefined
  if (!g.without.has('OneHot') || !plain || indices.dtype !== 'int32') return undefined
  const places = g.constant({ dtype: 'int32', shape: [depth], data: Int32Array.from({ length: depth }, (_, at) => at) })
  const hot = g.op('Equal', [g.op('Unsqueeze', [indices, int64(g, -1)]), places])
  const [off, on] = Array.from(values.data as Float32Array, (value) => g.constant(floats('float32', [value])))
  return [g.op('Where', [hot, on, off], {}, { name })]
}

/** (x > 0) - (x < 0). */
const lowerSign: Lowering = (g, node, name) => {
  const x = node.in(0)
  if (!g.without.has('Sign') || !isFloat(x.dtype)) return undefined
  const [above, below] = ['Greater', 'Less'].map((compare) =>
    g.op('Cast', [g.op(compare, [x, scalar(g, x, 0)])], { to: BigInt(ELEMENT_TYPE[x.dtype]) }),
  )
  return [g.op('Sub', [above, below], {}, { name })]
}

const whole = (g: Writer, like: Value, value: number): Value =>
  like.dtype === 'int32'
    ? g.constant({ dtype: 'int32', shape: [], data: Int32Array.of(value) })
    : g.constant({ dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(value)) })

/** Each label's weight: its class's, and 0 for one that is ignored; undefined where all weigh 1. */
function classWeights(g: Writer, node: NodeContext, safe: Value, skip: Value | undefined): Value | undefined {
  const given = node.inputs[2]
  const { dtype } = node.in(0)
  const own = given && g.op('Gather', [given, safe], { axis: 0n })
  if (skip === undefined) return own
  const [zero, one] = [0, 1].map((value) => g.constant(floats(dtype, [value]))) as [Value, Value]
  return g.op('Where', [skip, zero, own ?? one])
}

/** Operators that later operator sets have, or that engines expand less well, by how they are written. */
export const LOWER: Readonly<Record<string, Lowering>> = {
  Add: lowerElements,
  BatchNormalization: lowerBatchNormalization,
  Conv: lowerConv,
  Gelu: gelu,
  GRU: lowerRecurrent,
  HardSigmoid: lowerElements,
  LogSoftmax: lowerLogSoftmax,
  LSTM: lowerRecurrent,
  MaxPool: lowerMaxPool,
  Mul: lowerElements,
  OneHot: lowerOneHot,
  Relu: lowerElements,
  RNN: lowerRecurrent,
  Sign: lowerSign,
  SoftmaxCrossEntropyLoss: crossEntropy,
  Transpose: lowerTranspose,
  [FAKE_QUANTIZE]: lowerFakeQuantize,
  [LEARNED_QUANTIZE]: lowerLearnedQuantize,
}
