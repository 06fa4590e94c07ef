import type { Value } from '../build/value.js'
import type { Attributes } from '../format/node.js'
import { ELEMENT_TYPE } from '../format/types.js'
import type { Adapter, NodeEmission } from './emission.js'

/** Before operator set 13 all axes from `axis` on were one row; along the last axis both mean the same. */
const softmax: Adapter = (e) => {
  const { opType } = e.node
  const x = e.in(0)
  const rank = x.shape.length
  if (e.opset >= 13) return e.result(opType, [x], { axis: BigInt(e.int('axis', -1)) })
  const axis = e.axis(e.int('axis', 1))
  if (axis === rank - 1) return e.result(opType, [x], { axis: -1n })
  const rows = e.op(opType, [e.op('Flatten', [x], { axis: BigInt(axis) })], { axis: -1n })
  return e.result('Reshape', [rows, shapeOf(e, x)])
}

export function shapeOf(e: NodeEmission, x: Value): Value {
  const sizes = x.shape.map((size, axis) => (typeof size === 'number' ? size : axis === 0 ? -1 : undefined))
  return sizes.every((size) => size !== undefined) ? e.int64s(sizes) : e.op('Shape', [x])
}

/** Reductions take their axes as an attribute up to set 17, ReduceSum from 13 on as an input. */
function reduction(e: NodeEmission, opType: string, x: Value, last: boolean): Value {
  const axes = e.ints('axes') ?? e.constantInts(1)
  if (axes === undefined && e.inputs[1] !== undefined) throw e.refuse('its axes are computed at run time')
  if ((axes === undefined || axes.length === 0) && e.int('noop_with_empty_axes', 0) === 1)
    return last ? (e.result('Identity', [x])[0] as Value) : x
  const keepdims = BigInt(e.int('keepdims', 1))
  const named = axes === undefined || axes.length === 0 ? undefined : axes
  const bySum = opType === 'ReduceSum'
  const inputs = bySum && named !== undefined ? [x, e.int64s(named)] : [x]
  const attributes: Attributes = bySum || named === undefined ? { keepdims } : { axes: named.map(BigInt), keepdims }
  return last ? (e.result(opType, inputs, attributes)[0] as Value) : e.op(opType, inputs, attributes)
}

/** Truth values may be reduced since 20: as integers before. */
const reduce: Adapter = (e) => {
  const x = e.in(0)
  if (x.dtype !== 'bool') return [reduction(e, e.node.opType, x, true)]
  const whole = reduction(e, e.node.opType, e.cast(x, 'int32'), false)
  return e.result('Cast', [whole], { to: BigInt(ELEMENT_TYPE.bool) })
}

const reduceLogSum: Adapter = (e) => e.result('Log', [reduction(e, 'ReduceSum', e.in(0), false)])

const reduceNames =
  'ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare'

/** Bounds were attributes before operator set 11. */
const clip: Adapter = (e) => {
  if (e.opset >= 11) return e.result('Clip', e.inputs)
  const bound = (name: string): Value | undefined =>
    e.attributes[name] === undefined ? undefined : e.scalar(e.float(name, 0))
  return e.result('Clip', [e.in(0), bound('min'), bound('max')])
}

/** One node to differentiate; the builder writes it in operators of set 17. */
const gelu: Adapter = (e) => e.result('Gelu', [e.in(0)], { approximate: e.string('approximate', 'none') })

/** No operator of ONNX: tf2onnx leaves TensorFlow's in the file, as part of Keras's gelu. */
const erfc: Adapter = (e) => e.result('Sub', [e.scalar(1), e.op('Erf', [e.in(0)])])

/** x σ(a x): the contrib domain's QuickGelu. */
const quickGelu: Adapter = (e) => {
  const inner = e.op('Mul', [e.in(0), e.scalar(e.float('alpha', 1.702))])
  return e.result('Mul', [e.in(0), e.op('Sigmoid', [inner])])
}

const mish: Adapter = (e) => e.result('Mul', [e.in(0), e.op('Tanh', [e.op('Softplus', [e.in(0)])])])

/** Any number of inputs, two at a time. */
const folded =
  (opType: string): Adapter =>
  (e) => {
    const rest = e.inputs.slice(1).filter((value) => value !== undefined)
    const last = rest.pop()
    if (last === undefined) return e.result('Identity', [e.in(0)])
    return e.result(opType, [rest.reduce((sum, value) => e.op(opType, [sum, value]), e.in(0)), last])
  }

const mean: Adapter = (e) => {
  const all = e.inputs.filter((value) => value !== undefined)
  const sum = all.reduce((total, value) => e.op('Add', [total, value]))
  return e.result('Mul', [sum, e.scalar(1 / all.length)])
}

/** `saturate` (19) is about 8-bit floats only. */
const cast: Adapter = (e) => e.result('Cast', [e.in(0)], { to: e.attributes['to'] ?? 0n })

const castLike: Adapter = (e) => {
  const value = e.cast(e.in(0), e.in(1).dtype)
  return e.result('Identity', [value])
}

/** Bounds are scalars; files have vectors of one number too, which engines take as long as they do not see it coming. */
const range: Adapter = (e) => {
  const scalar = (value: Value): Value =>
    value.shape.length === 0 ? value : e.op('Squeeze', [value, e.int64s(value.shape.map((_, axis) => axis))])
  return e.result('Range', [scalar(e.in(0)), scalar(e.in(1)), scalar(e.in(2))])
}

/** Operators of arithmetic, by what older and newer operator sets call their arguments. */
export const mathAdapters: Readonly<Record<string, Adapter>> = {
  ...Object.fromEntries(reduceNames.split(' ').map((name) => [name, reduce])),
  Cast: cast,
  CastLike: castLike,
  Clip: clip,
  Erfc: erfc,
  Gelu: gelu,
  LogSoftmax: softmax,
  Max: folded('Max'),
  Mean: mean,
  Min: folded('Min'),
  Mish: mish,
  QuickGelu: quickGelu,
  Range: range,
  ReduceLogSum: reduceLogSum,
  Softmax: softmax,
  Sum: folded('Add'),
}
