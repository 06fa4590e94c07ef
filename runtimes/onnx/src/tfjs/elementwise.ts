import type { Value } from '../build/value.js'
import type { Emission, Rule, Rules } from './emission.js'
import { attr, type Ref } from './graph-def.js'
import { tfType } from './tensor.js'
import { Refused } from './values.js'

/** One operator for one input. */
const unary =
  (op: string): Rule =>
  (e) =>
    e.alike([e.in(0)], (x) => e.op(op, [x]))

/** In the convolution or product before it, where that can be. */
const activation =
  (op: string): Rule =>
  (e) =>
    e.values.activated(e.in(0), op) ?? e.alike([e.in(0)], (x) => e.op(op, [x]))

const computed =
  (compute: (e: Emission, x: Ref) => Ref): Rule =>
  (e) =>
    e.alike([e.in(0)], (x) => compute(e, x))

const binary =
  (op: string): Rule =>
  (e) =>
    e.alike(e.inputs, (...refs) => refs.reduce((all, next) => e.op(op, [all, next])))

/** Not all backends compare truth values. */
const compared =
  (op: string): Rule =>
  (e) => {
    const isTruth = e.in(0).dtype === 'bool'
    return e.alike(e.inputs, (...refs) =>
      e.op(
        op,
        refs.map((ref) => (isTruth ? e.cast(ref, 'int32') : ref)),
      ),
    )
  }

const times = (e: Emission, x: Ref, by: number): Ref => e.op('Mul', [x, e.number(by)])
const plus = (e: Emission, x: Ref, by: number): Ref => e.op('AddV2', [x, e.number(by)])
const clipped = (e: Emission, x: Ref, least: number, most: number): Ref =>
  e.op('ClipByValue', [x, e.number(least), e.number(most)])

/** Whole numbers are divided towards zero; TensorFlow takes the floor. */
function divided(e: Emission, a: Ref, b: Ref): Ref {
  if (tfType(e.in(0).dtype) !== 'int32') return e.op('RealDiv', [a, b])
  const [sign, size] = [
    e.op('Mul', [e.op('Sign', [a]), e.op('Sign', [b])]),
    e.op('FloorDiv', [e.op('Abs', [a]), e.op('Abs', [b])]),
  ]
  return e.op('Mul', [sign, size])
}

const clip: Rule = (e) => {
  const [least, most] = [e.maybe(1), e.maybe(2)]
  const numbers = [least, most].map((value) => value && e.values.constant(value)?.data[0])
  const [from, to] = numbers
  if (e.in(0).dtype === 'float32' && from !== undefined && to !== undefined)
    return from === 0 && to === 6 ? activation('Relu6')(e) : e.alike([e.in(0)], (x) => clipped(e, x, from, to))
  const bounds = [least, most].filter((value): value is Value => value !== undefined)
  return e.alike([e.in(0), ...bounds], (x, ...refs) => {
    const above = least === undefined ? x : e.op('Maximum', [x, refs[0] as Ref])
    return most === undefined ? above : e.op('Minimum', [above, refs.at(-1) as Ref])
  })
}

/** x above zero, a multiple of exp(x) - 1 below. */
const exponential = (e: Emission, x: Ref, alpha: number): Ref => {
  const below = times(e, e.op('Expm1', [e.op('Minimum', [x, e.number(0)])]), alpha)
  return e.op('SelectV2', [e.op('Greater', [x, e.number(0)]), x, below])
}

/** x Φ(x) (Hendrycks and Gimpel 2016, arXiv:1606.08415). */
const gelu = (e: Emission, x: Ref): Ref => {
  const half = times(e, x, 0.5)
  if (e.text('approximate', 'none') !== 'tanh')
    return e.op('Mul', [half, plus(e, e.op('Erf', [times(e, x, Math.SQRT1_2)]), 1)])
  const cube = e.op('Mul', [x, e.op('Square', [x])])
  const inner = times(e, e.op('AddV2', [x, times(e, cube, 0.044715)]), Math.sqrt(2 / Math.PI))
  return e.op('Mul', [half, plus(e, e.op('Tanh', [inner]), 1)])
}

const cast: Rule = (e) => {
  const dtype = tfType(e.out.dtype)
  if (dtype === undefined) throw new Refused(`TensorFlow.js has no ${e.out.dtype}`)
  return e.alike([e.in(0)], (x) => (tfType(e.in(0).dtype) === dtype ? e.op('Identity', [x]) : e.cast(x, dtype)))
}

const modulo: Rule = (e) =>
  e.alike(e.inputs, (a, b) => {
    if (e.info.int('fmod', 0) === 0) return e.op('FloorMod', [a as Ref, b as Ref])
    // C's fmod: the sign is the dividend's.
    const size = e.op('FloorMod', [e.op('Abs', [a as Ref]), e.op('Abs', [b as Ref])])
    return e.op('Mul', [e.op('Sign', [a as Ref]), size])
  })

const same = (...names: string[]): Rules => Object.fromEntries(names.map((name) => [name, unary(name)]))

/** Elementwise operators (https://onnx.ai/onnx/operators/), each of the shape that its inputs broadcast to. */
export const elementwise: Rules = {
  ...same('Abs', 'Acos', 'Acosh', 'Asin', 'Asinh', 'Atan', 'Atanh', 'Ceil', 'Cos', 'Cosh', 'Erf', 'Exp', 'Floor'),
  ...same('Identity', 'Log', 'Neg', 'Reciprocal', 'Round', 'Sigmoid', 'Sign', 'Sin', 'Sinh', 'Softplus'),
  ...same('Sqrt', 'Tan', 'Tanh'),
  Add: binary('AddV2'),
  And: binary('LogicalAnd'),
  Cast: cast,
  Clip: clip,
  Div: (e) => e.alike(e.inputs, (a, b) => divided(e, a as Ref, b as Ref)),
  Elu: computed((e, x) => {
    const alpha = e.info.float('alpha', 1)
    return alpha === 1 ? e.op('Elu', [x]) : exponential(e, x, alpha)
  }),
  Equal: compared('Equal'),
  Gelu: computed(gelu),
  Greater: compared('Greater'),
  GreaterOrEqual: compared('GreaterEqual'),
  HardSigmoid: computed((e, x) =>
    clipped(e, plus(e, times(e, x, e.info.float('alpha', 0.2)), e.info.float('beta', 0.5)), 0, 1),
  ),
  HardSwish: computed((e, x) => e.op('Mul', [x, clipped(e, plus(e, times(e, x, 1 / 6), 0.5), 0, 1)])),
  IsInf: (e) => {
    if (e.info.int('detect_negative', 1) !== 1 || e.info.int('detect_positive', 1) !== 1)
      throw new Refused('TensorFlow.js looks for both infinities')
    return e.alike([e.in(0)], (x) => e.op('IsInf', [x]))
  },
  IsNaN: unary('IsNan'),
  LeakyRelu: computed((e, x) => e.op('LeakyRelu', [x], { alpha: attr.float(e.info.float('alpha', 0.01)) })),
  Less: compared('Less'),
  LessOrEqual: compared('LessEqual'),
  Max: binary('Maximum'),
  Min: binary('Minimum'),
  Mod: modulo,
  Mul: binary('Mul'),
  Not: unary('LogicalNot'),
  Or: binary('LogicalOr'),
  Pow: (e) => {
    const dtype = tfType(e.in(0).dtype) ?? 'float32'
    return e.alike(e.inputs, (a, b) =>
      e.op('Pow', [a as Ref, tfType(e.in(1).dtype) === dtype ? (b as Ref) : e.cast(b as Ref, dtype)]),
    )
  },
  PRelu: binary('Prelu'),
  Relu: activation('Relu'),
  Selu: computed((e, x) => {
    const alpha = e.info.float('alpha', 1.67326319217681884765625)
    return times(e, exponential(e, x, alpha), e.info.float('gamma', 1.05070102214813232421875))
  }),
  Softsign: computed((e, x) => e.op('RealDiv', [x, plus(e, e.op('Abs', [x]), 1)])),
  Sub: binary('Sub'),
  Xor: compared('NotEqual'),
  Where: (e) => e.alike(e.inputs, (which, yes, no) => e.op('SelectV2', [which as Ref, yes as Ref, no as Ref])),
}
