import type { Value } from '../build/value.js'
import type { GradientContext, GradientRule } from './context.js'
import { castLike, choose, mul, one, type Rules, times } from './rule.js'

/** For softmax dy y - y Σ dy y, for its logarithm dy - exp(y) Σ dy: the sum along the axis of the softmax. */
const sumAlong = (c: GradientContext, value: Value): Value => {
  const axis = c.info.axis(c.info.int('axis', -1), c.y.shape.length)
  return c.op('ReduceSum', [value, c.int64s([axis])], { keepdims: 1n })
}

const positive = (c: GradientContext): Value => c.op('Greater', [c.in(0), c.scalar(0)])

/** 1 - value, and value + 1. */
const oneMinus = (c: GradientContext, value: Value): Value => c.op('Sub', [c.scalar(1), value])
const plus = (c: GradientContext, value: Value, more: number): Value => c.op('Add', [value, c.scalar(more)])

/**
 * 1 where y > 0, else 0. In float32 a hard sigmoid as steep as can be is one pass where a comparison and a cast are two:
 * with the multiplication behind it two thirds of the time (Sign takes twice, Where as long); below 3e-39, where numbers
 * are denormal, it is less than 1. Where y is NaN the loss is, too.
 */
const isPositive = (c: GradientContext): Value =>
  c.y.dtype === 'float32'
    ? c.op('HardSigmoid', [c.y], { alpha: STEEP, beta: 0 })
    : castLike(c, c.op('Greater', [c.y, c.scalar(0)]), c.y)

const STEEP = 3.4e38

const pRelu: GradientRule = (c) => {
  const [x, slope] = [c.in(0), c.in(1)]
  return [
    c.needs(0) ? choose(c, positive(c), c.dy, mul(c, c.dy, slope)) : undefined,
    c.needs(1) ? c.unbroadcast(mul(c, c.dy, c.op('Min', [x, c.scalar(0)])), slope) : undefined,
  ]
}

/** 1 below 3 in size, where the slope is x / 6 + hard sigmoid; else the hard sigmoid is the slope. */
const hardSwish = (c: GradientContext): Value => {
  const x = c.in(0)
  const sixth = times(c, x, 1 / 6)
  const gate = c.op('Clip', [plus(c, sixth, 0.5), c.scalar(0), c.scalar(1)])
  const inside = c.op('Less', [c.op('Abs', [x]), c.scalar(3)])
  return mul(c, c.dy, c.op('Add', [gate, choose(c, inside, sixth, 0)]))
}

const hardSigmoid = (c: GradientContext): Value => {
  const inside = c.op('And', [c.op('Greater', [c.y, c.scalar(0)]), c.op('Less', [c.y, c.scalar(1)])])
  return choose(c, inside, times(c, c.dy, c.info.float('alpha', 0.2)), 0)
}

/** Φ(x) + x φ(x); with tanh, the derivative of that form. The lowered node kept 2 Φ(x). */
const gelu = (c: GradientContext): Value => {
  const x = c.in(0)
  const bell = c.node.outputs[1] as Value
  const half = times(c, bell, 0.5)
  const square = mul(c, x, x)
  if (c.node.attributes['approximate'] === 'tanh') {
    // d/dx = (1 + t) / 2 + x (1 - t²) / 2 · √(2/π) (1 + 3 · 0.044715 x²), and 1 - t² = (1 + t) (2 - (1 + t)).
    const rise = mul(c, half, c.op('Sub', [c.scalar(2), bell]))
    const inner = plus(c, times(c, square, 3 * 0.044715 * Math.sqrt(2 / Math.PI)), Math.sqrt(2 / Math.PI))
    return mul(c, c.dy, c.op('Add', [half, mul(c, rise, inner, x)]))
  }
  const density = times(c, c.op('Exp', [times(c, square, -0.5)]), 1 / Math.sqrt(2 * Math.PI))
  return mul(c, c.dy, c.op('Add', [half, mul(c, density, x)]))
}

/** Left as it is, or times the mask and 1 / (1 - ratio): whether it trains may show at run time only. */
const dropout: GradientRule = (c) => {
  if (!c.needs(0)) return []
  const mask = c.node.outputs[1]
  const training = c.info.constant(2)
  const on = c.node.inputs[2] !== undefined && (training === undefined || Number(training.data[0]) !== 0)
  if (!on || mask === undefined) return [c.dy]
  const ratio = c.node.inputs[1] === undefined ? 0.5 : c.info.constant(1)?.data[0]
  const kept = mul(c, c.dy, castLike(c, mask, c.dy))
  const scaled =
    ratio === undefined
      ? c.op('Div', [kept, oneMinus(c, castLike(c, c.in(1), c.dy))])
      : times(c, kept, 1 / (1 - Number(ratio)))
  return [training === undefined ? choose(c, c.in(2), scaled, c.dy) : scaled]
}

/** Selu's constants (Klambauer et al. 2017), which ONNX has as defaults. */
const SELU = { alpha: 1.6732632423543772, gamma: 1.0507009873554805 }

const selu = (c: GradientContext): Value => {
  const [alpha, gamma] = [c.info.float('alpha', SELU.alpha), c.info.float('gamma', SELU.gamma)]
  return mul(c, c.dy, choose(c, positive(c), gamma, plus(c, c.y, alpha * gamma)))
}

/** Functions that stand between layers. */
export const activationRules: Rules = {
  Dropout: dropout,
  Elu: one((c) => mul(c, c.dy, choose(c, positive(c), 1, plus(c, c.y, c.info.float('alpha', 1))))),
  Erf: one((c) => {
    const bell = c.op('Exp', [c.op('Neg', [mul(c, c.in(0), c.in(0))])])
    return mul(c, c.dy, times(c, bell, 2 / Math.sqrt(Math.PI)))
  }),
  Gelu: one(gelu),
  HardSigmoid: one(hardSigmoid),
  HardSwish: one(hardSwish),
  LeakyRelu: one((c) => choose(c, positive(c), c.dy, times(c, c.dy, c.info.float('alpha', 0.01)))),
  LogSoftmax: one((c) => c.op('Sub', [c.dy, c.op('Mul', [c.op('Exp', [c.y]), sumAlong(c, c.dy)])])),
  PRelu: pRelu,
  Relu: one((c) => mul(c, c.dy, isPositive(c))),
  Selu: one(selu),
  Sigmoid: one((c) => mul(c, c.dy, c.op('Mul', [c.y, oneMinus(c, c.y)]))),
  Softmax: one((c) => mul(c, c.y, c.op('Sub', [c.dy, sumAlong(c, mul(c, c.dy, c.y))]))),
  Softplus: one((c) => mul(c, c.dy, c.op('Sigmoid', [c.in(0)]))),
  // (1 / (1 + |x|))² = (1 - |y|)²
  Softsign: one((c) => {
    const rest = oneMinus(c, c.op('Abs', [c.y]))
    return mul(c, c.dy, c.op('Mul', [rest, rest]))
  }),
  Tanh: one((c) => mul(c, c.dy, oneMinus(c, c.op('Mul', [c.y, c.y])))),
}
