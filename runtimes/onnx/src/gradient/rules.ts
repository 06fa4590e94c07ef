import type { Value } from '../build/value.js'
import type { GradientContext, GradientRule } from './context.js'
import { layoutRules } from './rules-layout.js'
import { productRules } from './rules-product.js'

/** A rule for one input, computed only if it is needed. */
const one =
  (rule: (c: GradientContext) => Value): GradientRule =>
  (c) => [c.needs(0) ? rule(c) : undefined]

/** A rule for two inputs that broadcast against each other. */
const two =
  (left: (c: GradientContext) => Value, right: (c: GradientContext) => Value): GradientRule =>
  (c) => [
    c.needs(0) ? c.unbroadcast(left(c), c.in(0)) : undefined,
    c.needs(1) ? c.unbroadcast(right(c), c.in(1)) : undefined,
  ]

const mul = (c: GradientContext, ...values: readonly [Value, ...Value[]]): Value =>
  values.reduce((product, value) => c.op('Mul', [product, value]))

/** y (dy - Σ dy y) for softmax and dy - exp(y) Σ dy for its logarithm, along the axis of the softmax. */
const sumAlong = (c: GradientContext, value: Value): Value => {
  const axis = c.info.axis(c.info.int('axis', -1), c.y.shape.length)
  return c.op('ReduceSum', [value, c.int64s([axis])], { keepdims: 1n })
}

/** e x^(e-1), without the 0 · ∞ that it would be at x = 0 for e = 0. */
const powerByBase = (c: GradientContext): Value => {
  const [x, e] = [c.in(0), c.in(1)]
  const exponent = c.info.constant(1)
  if (exponent?.data.length === 1) {
    const value = Number(exponent.data[0])
    if (value === 2) return mul(c, c.dy, c.op('Mul', [c.scalar(2), x]))
    if (value === 0) return mul(c, c.dy, c.op('Mul', [c.scalar(0), x]))
    return mul(c, c.dy, c.op('Mul', [c.scalar(value), c.op('Pow', [x, c.scalar(value - 1)])]))
  }
  const slope = c.op('Mul', [e, c.op('Pow', [x, c.op('Sub', [e, c.scalar(1)])])])
  return mul(c, c.dy, c.op('Where', [c.op('Equal', [e, c.scalar(0)]), c.scalar(0), slope]))
}

/** y ln x, and 0 where x is not positive: there the power is 0, or no real function of its exponent. */
const powerByExponent = (c: GradientContext): Value => {
  const positive = c.op('Greater', [c.in(0), c.scalar(0)])
  const logarithm = c.op('Log', [c.op('Where', [positive, c.in(0), c.scalar(1)])])
  return mul(c, c.dy, c.y, logarithm)
}

/**
 * Reverse-mode derivatives, one rule per operator: from the gradient by its output to those by its inputs.
 * At ties the subgradient is 0 (Relu and Abs at 0). Rules are checked against finite differences in rules.test.ts.
 * To differentiate another operator, add its rule here or beside (products, layout) and its case to the test.
 */
export const GRADIENTS: Readonly<Record<string, GradientRule>> = {
  ...productRules,
  ...layoutRules,
  Abs: one((c) => mul(c, c.dy, c.op('Sign', [c.in(0)]))),
  Add: two(
    (c) => c.dy,
    (c) => c.dy,
  ),
  Div: two(
    (c) => c.op('Div', [c.dy, c.in(1)]),
    (c) => c.op('Neg', [c.op('Div', [mul(c, c.dy, c.y), c.in(1)])]),
  ),
  Exp: one((c) => mul(c, c.dy, c.y)),
  Identity: one((c) => c.dy),
  Log: one((c) => c.op('Div', [c.dy, c.in(0)])),
  LogSoftmax: one((c) => c.op('Sub', [c.dy, c.op('Mul', [c.op('Exp', [c.y]), sumAlong(c, c.dy)])])),
  Mul: two(
    (c) => mul(c, c.dy, c.in(1)),
    (c) => mul(c, c.dy, c.in(0)),
  ),
  Neg: one((c) => c.op('Neg', [c.dy])),
  Pow: two(powerByBase, powerByExponent),
  Reciprocal: one((c) => c.op('Neg', [mul(c, c.dy, c.op('Mul', [c.y, c.y]))])),
  // Sign(y) is 0 or 1, and keeps a NaN where a comparison would hide it.
  Relu: one((c) => mul(c, c.dy, c.op('Sign', [c.y]))),
  Sigmoid: one((c) => mul(c, c.dy, c.op('Mul', [c.y, c.op('Sub', [c.scalar(1), c.y])]))),
  Softmax: one((c) => mul(c, c.y, c.op('Sub', [c.dy, sumAlong(c, mul(c, c.dy, c.y))]))),
  Sqrt: one((c) => c.op('Div', [c.dy, c.op('Mul', [c.scalar(2), c.y])])),
  Sub: two(
    (c) => c.dy,
    (c) => c.op('Neg', [c.dy]),
  ),
  Tanh: one((c) => mul(c, c.dy, c.op('Sub', [c.scalar(1), c.op('Mul', [c.y, c.y])]))),
}
