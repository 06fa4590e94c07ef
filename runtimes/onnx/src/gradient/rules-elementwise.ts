import type { Value } from '../build/value.js'
import type { GradientContext, GradientRule } from './context.js'
import { castLike, choose, mul, one, type Rules, times, two } from './rule.js'

/** e x^(e-1), without the 0 · ∞ that it would be at x = 0 for e = 0. */
const powerByBase = (c: GradientContext): Value => {
  const [x, e] = [c.in(0), c.in(1)]
  const exponent = c.info.constant(1)
  if (exponent?.data.length === 1) {
    const value = Number(exponent.data[0])
    if (value === 2) return mul(c, c.dy, times(c, x, 2))
    if (value === 0) return mul(c, c.dy, c.op('Mul', [c.scalar(0), x]))
    return mul(c, c.dy, times(c, c.op('Pow', [x, c.scalar(value - 1)]), value))
  }
  const slope = c.op('Mul', [e, c.op('Pow', [x, c.op('Sub', [e, c.scalar(1)])])])
  return mul(c, c.dy, choose(c, c.op('Equal', [e, c.scalar(0)]), 0, slope))
}

/** y ln x, and 0 where x is not positive: there the power is 0, or no real function of its exponent. */
const powerByExponent = (c: GradientContext): Value => {
  const positive = c.op('Greater', [c.in(0), c.scalar(0)])
  return mul(c, c.dy, c.y, c.op('Log', [choose(c, positive, c.in(0), 1)]))
}

/** Where several inputs are the largest, the first of them has all of the gradient (as tfjs's maximum and minimum). */
const extreme: GradientRule = (c) => {
  const count = c.node.inputs.length
  const last = c.node.inputs.findLastIndex((_, place) => c.needs(place))
  const gradients: (Value | undefined)[] = []
  let rest = c.dy
  for (let place = 0; place <= last; place++) {
    const input = c.in(place)
    if (place === count - 1) {
      gradients.push(c.unbroadcast(rest, input))
      break
    }
    const hit = c.op('Equal', [input, c.y])
    gradients.push(c.needs(place) ? c.unbroadcast(choose(c, hit, rest, 0), input) : undefined)
    if (place < last) rest = choose(c, hit, 0, rest)
  }
  return gradients
}

const sum =
  (share: (c: GradientContext) => Value): GradientRule =>
  (c) =>
    c.node.inputs.map((input, place) => (input && c.needs(place) ? c.unbroadcast(share(c), input) : undefined))

/** Inside of the bounds and on them the gradient passes (as PyTorch's clamp and tfjs's clipByValue); else the bound has it. */
const clip: GradientRule = (c) => {
  const x = c.in(0)
  const bound = (place: number, comparison: string): Value | undefined => {
    if (!c.needs(place)) return undefined
    return c.unbroadcast(choose(c, c.op(comparison, [x, c.in(place)]), c.dy, 0), c.in(place))
  }
  return [c.needs(0) ? choose(c, c.op('Equal', [x, c.y]), c.dy, 0) : undefined, bound(1, 'Less'), bound(2, 'Greater')]
}

const where: GradientRule = (c) => [
  undefined,
  c.needs(1) ? c.unbroadcast(choose(c, c.in(0), c.dy, 0), c.in(1)) : undefined,
  c.needs(2) ? c.unbroadcast(choose(c, c.in(0), 0, c.dy), c.in(2)) : undefined,
]

/** Arithmetic on elements. */
export const elementwiseRules: Rules = {
  Abs: one((c) => mul(c, c.dy, c.op('Sign', [c.in(0)]))),
  Add: two(
    (c) => c.dy,
    (c) => c.dy,
  ),
  Cast: one((c) => castLike(c, c.dy, c.in(0))),
  Clip: clip,
  Cos: one((c) => c.op('Neg', [mul(c, c.dy, c.op('Sin', [c.in(0)]))])),
  Div: two(
    (c) => c.op('Div', [c.dy, c.in(1)]),
    (c) => c.op('Neg', [c.op('Div', [mul(c, c.dy, c.y), c.in(1)])]),
  ),
  Exp: one((c) => mul(c, c.dy, c.y)),
  Identity: one((c) => c.dy),
  Log: one((c) => c.op('Div', [c.dy, c.in(0)])),
  Max: extreme,
  Mean: sum((c) => times(c, c.dy, 1 / c.node.inputs.length)),
  Min: extreme,
  Mul: two(
    (c) => mul(c, c.dy, c.in(1)),
    (c) => mul(c, c.dy, c.in(0)),
  ),
  Neg: one((c) => c.op('Neg', [c.dy])),
  Pow: two(powerByBase, powerByExponent),
  Reciprocal: one((c) => c.op('Neg', [mul(c, c.dy, c.op('Mul', [c.y, c.y]))])),
  Sin: one((c) => mul(c, c.dy, c.op('Cos', [c.in(0)]))),
  Sqrt: one((c) => c.op('Div', [c.dy, times(c, c.y, 2)])),
  Sub: two(
    (c) => c.dy,
    (c) => c.op('Neg', [c.dy]),
  ),
  Sum: sum((c) => c.dy),
  Where: where,
}
