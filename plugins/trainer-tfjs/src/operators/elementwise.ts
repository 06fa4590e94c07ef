import * as tf from '@tensorflow/tfjs-core'
import type { Kernel, Kernels } from '../graph/node.js'

const unary =
  (compute: (x: tf.Tensor) => tf.Tensor): Kernel =>
  (c) =>
    compute(c.in(0))

const binary =
  (compute: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): Kernel =>
  (c) =>
    compute(c.in(0), c.in(1))

const variadic =
  (compute: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): Kernel =>
  (c) =>
    c.all().reduce((all, next) => compute(all, next))

/** Comparisons take no bools on some backends. */
const comparable = (x: tf.Tensor): tf.Tensor => (x.dtype === 'bool' ? tf.cast(x, 'int32') : x)

const ifPositive = (x: tf.Tensor, then: tf.Tensor, otherwise: tf.Tensor): tf.Tensor =>
  tf.where(tf.greater(x, 0), then, otherwise)

/** ONNX's element types by their numbers, as TensorFlow.js has them. */
const DTYPES: Readonly<Record<number, 'float32' | 'int32' | 'bool'>> = {
  1: 'float32',
  2: 'int32',
  3: 'int32',
  4: 'int32',
  5: 'int32',
  6: 'int32',
  7: 'int32',
  9: 'bool',
  11: 'float32',
}

/** Whole numbers are divided towards zero; TensorFlow.js takes the floor. */
function divided(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  if (a.dtype !== 'int32') return tf.div(a, b)
  return tf.mul(tf.mul(tf.sign(a), tf.sign(b)), tf.floorDiv(tf.abs(a), tf.abs(b)))
}

const gelu: Kernel = (c) => {
  const x = c.in(0)
  const half = tf.mul(x, 0.5)
  if (c.string('approximate', 'none') === 'tanh') {
    const inner = tf.mul(tf.add(x, tf.mul(tf.mul(x, tf.mul(x, x)), 0.044715)), Math.sqrt(2 / Math.PI))
    return tf.mul(half, tf.add(tf.tanh(inner), 1))
  }
  return tf.mul(half, tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1))
}

const clip: Kernel = (c) => {
  const [least, most] = [c.maybe(1), c.maybe(2)]
  const from = least === undefined ? c.in(0) : tf.maximum(c.in(0), least)
  return most === undefined ? from : tf.minimum(from, most)
}

/** Elementwise operators (https://onnx.ai/onnx/operators/), each of the shape that its inputs broadcast to. */
export const elementwise: Kernels = {
  Abs: unary(tf.abs),
  Add: binary(tf.add),
  And: binary(tf.logicalAnd),
  Cast: (c) => {
    const dtype = DTYPES[c.int('to', 1)]
    if (dtype === undefined) throw c.invalid(`element type ${c.int('to', 1)} is not there`)
    return tf.cast(c.in(0), dtype)
  },
  Ceil: unary(tf.ceil),
  Clip: clip,
  Cos: unary(tf.cos),
  Div: binary(divided),
  Elu: (c) => {
    const x = c.in(0)
    return ifPositive(x, x, tf.mul(tf.expm1(tf.minimum(x, 0)), c.float('alpha', 1)))
  },
  Equal: binary((a, b) => tf.equal(comparable(a), comparable(b))),
  Erf: unary(tf.erf),
  Exp: unary(tf.exp),
  Floor: unary(tf.floor),
  Gelu: gelu,
  Greater: binary(tf.greater),
  GreaterOrEqual: binary(tf.greaterEqual),
  HardSigmoid: (c) => tf.clipByValue(tf.add(tf.mul(c.in(0), c.float('alpha', 0.2)), c.float('beta', 0.5)), 0, 1),
  HardSwish: unary((x) => tf.mul(x, tf.clipByValue(tf.add(tf.div(x, 6), 0.5), 0, 1))),
  IsNaN: unary(tf.isNaN),
  LeakyRelu: (c) => tf.leakyRelu(c.in(0), c.float('alpha', 0.01)),
  Less: binary(tf.less),
  LessOrEqual: binary(tf.lessEqual),
  Log: unary(tf.log),
  Max: variadic(tf.maximum),
  Mean: (c) =>
    tf.div(
      c.all().reduce((all, next) => tf.add(all, next)),
      c.all().length,
    ),
  Min: variadic(tf.minimum),
  Mod: (c) => {
    if (c.int('fmod', 0) === 0) return tf.mod(c.in(0), c.in(1))
    // C's fmod: the sign is the dividend's.
    const [a, b] = [c.in(0), c.in(1)]
    return tf.mul(tf.sign(a), tf.mod(tf.abs(a), tf.abs(b)))
  },
  Mul: binary(tf.mul),
  Neg: unary(tf.neg),
  Not: unary(tf.logicalNot),
  Or: binary(tf.logicalOr),
  Pow: (c) => tf.pow(c.in(0), tf.cast(c.in(1), c.in(0).dtype)),
  PRelu: (c) => ifPositive(c.in(0), c.in(0), tf.mul(c.in(0), c.in(1))),
  Reciprocal: unary(tf.reciprocal),
  Relu: unary(tf.relu),
  Round: unary(tf.round),
  Selu: (c) => {
    const x = c.in(0)
    const negative = tf.mul(tf.expm1(tf.minimum(x, 0)), c.float('alpha', 1.67326319217681884765625))
    return tf.mul(ifPositive(x, x, negative), c.float('gamma', 1.05070102214813232421875))
  },
  Sigmoid: unary(tf.sigmoid),
  Sign: unary(tf.sign),
  Sin: unary(tf.sin),
  Softplus: unary(tf.softplus),
  Softsign: unary((x) => tf.div(x, tf.add(tf.abs(x), 1))),
  Sqrt: unary(tf.sqrt),
  Sub: binary(tf.sub),
  Sum: variadic(tf.add),
  Tanh: unary(tf.tanh),
  Where: (c) => tf.where(tf.cast(c.in(0), 'bool'), c.in(1), c.in(2)),
}
