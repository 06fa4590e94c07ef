import { besidesChannels } from '../build/lower-normalization.js'
import { floats, staticCount, type Value } from '../build/value.js'
import type { GradientContext, GradientRule } from './context.js'
import { castLike, mul, type Rules } from './rule.js'

const sum = (c: GradientContext, value: Value, axes: readonly number[]): Value =>
  c.op('ReduceSum', [value, c.int64s(axes)], { keepdims: 1n })

const mean = (c: GradientContext, value: Value, axes: readonly number[]): Value =>
  c.op('ReduceMean', [value], { axes: axes.map(BigInt), keepdims: 1n })

/** A vector over the channels as [1, C, 1, …]. */
const channelwise = (c: GradientContext, vector: Value): Value =>
  c.op('Reshape', [vector, c.int64s([1, -1, ...c.y.shape.slice(2).map(() => 1)])])

const vector = (c: GradientContext, value: Value): Value => c.op('Reshape', [value, c.int64s([-1])])

const inverseDeviation = (c: GradientContext, variance: Value): Value =>
  c.op('Reciprocal', [c.op('Sqrt', [c.op('Add', [variance, c.scalar(c.info.float('epsilon', 1e-5))])])])

/** With given statistics it is one line a channel. */
const batchInference: GradientRule = (c) => {
  const [x, dy] = [c.in(0), c.dy]
  const axes = besidesChannels(dy)
  const inverse = (): Value => inverseDeviation(c, c.in(4))
  const slope = (): Value => c.op('Mul', [c.in(1), inverse()])
  const total = (): Value => vector(c, sum(c, dy, axes))
  const byScale = (): Value => {
    const centred = c.op('Sub', [x, channelwise(c, c.in(3))])
    return mul(c, vector(c, sum(c, mul(c, dy, centred), axes)), inverse())
  }
  const byVariance = (): Value => mul(c, byScale(), c.op('Mul', [slope(), inverse()]), c.scalar(-0.5))
  return [
    c.needs(0) ? mul(c, dy, channelwise(c, slope())) : undefined,
    c.needs(1) ? byScale() : undefined,
    c.needs(2) ? total() : undefined,
    c.needs(3) ? c.op('Neg', [mul(c, total(), slope())]) : undefined,
    c.needs(4) ? byVariance() : undefined,
  ]
}

/**
 * dx = s (dy - mean dy - x̂ mean(dy x̂)) / σ, as s dy / σ + (p (x - mean) + q) with p and q by channel; the line is one
 * pass of BatchNormalization over the image instead of two. The running statistics pass on no gradient.
 */
const batchTraining: GradientRule = (c) => {
  const dy = c.gradients[0]
  if (dy === undefined) return []
  const [, , , centred, inverse] = c.node.outputs as readonly [Value, Value, Value, Value, Value]
  const axes = besidesChannels(dy)
  const total = (): Value => sum(c, dy, axes)
  const moment = (): Value => sum(c, mul(c, dy, centred), axes)
  const byImage = (): Value => {
    const slope = mul(c, channelwise(c, c.in(1)), inverse)
    const share = c.op('Div', [c.op('Neg', [slope]), elements(c)])
    const p = vector(c, mul(c, share, moment(), c.op('Mul', [inverse, inverse])))
    const q = vector(c, mul(c, share, total()))
    // The mean was taken off: a channel's slopes sum to zero.
    return c.balance(c.op('Add', [mul(c, dy, slope), line(c, centred, p, q)]))
  }
  return [
    c.needs(0) ? byImage() : undefined,
    c.needs(1) ? vector(c, mul(c, moment(), inverse)) : undefined,
    c.needs(2) ? vector(c, total()) : undefined,
  ]
}

/** p x + q by channel. */
function line(c: GradientContext, x: Value, p: Value, q: Value): Value {
  const [channels] = c.in(1).shape
  if (typeof channels !== 'number') return c.op('Add', [mul(c, x, channelwise(c, p)), channelwise(c, q)])
  const all = (value: number): Value => c.tensor(floats(x.dtype, Array<number>(channels).fill(value), [channels]))
  return c.op('BatchNormalization', [x, p, q, all(0), all(1)], { epsilon: 0 })
}

/** How many elements a channel has. */
function elements(c: GradientContext): Value {
  const count = staticCount(c.y.shape.toSpliced(1, 1))
  if (count !== undefined) return c.scalar(count)
  return castLike(c, c.op('Div', [c.op('Size', [c.y]), c.op('Size', [c.in(1)])]), c.y)
}

/** (x - mean) / σ over some axes, and 1 / σ. */
function standard(c: GradientContext, x: Value, axes: readonly number[]): readonly [Value, Value] {
  const centred = c.op('Sub', [x, mean(c, x, axes)])
  const inverse = inverseDeviation(c, mean(c, mul(c, centred, centred), axes))
  return [c.op('Mul', [centred, inverse]), inverse]
}

/** g' = (g - mean g - x̂ mean(g x̂)) / σ: the way back through a standardisation over some axes. */
function standardised(c: GradientContext, g: Value, unit: Value, inverse: Value, axes: readonly number[]): Value {
  const centre = c.op('Sub', [g, mean(c, g, axes)])
  return mul(c, c.op('Sub', [centre, mul(c, unit, mean(c, mul(c, g, unit), axes))]), inverse)
}

/** The engine gives a mean and an inverse deviation in float32 only: in float64 they are computed again. */
const layer: GradientRule = (c) => {
  const [x, scale, dy] = [c.in(0), c.in(1), c.dy]
  const from = c.info.axis(c.info.int('axis', -1), x.shape.length)
  const axes = x.shape.map((_, axis) => axis).slice(from)
  const unit = (): readonly [Value, Value] => {
    const [, average, inverse] = c.node.outputs as readonly [Value, Value, Value]
    if (x.dtype !== 'float32') return standard(c, x, axes)
    return [c.op('Mul', [c.op('Sub', [x, average]), inverse]), inverse]
  }
  return [
    c.needs(0) ? standardised(c, mul(c, dy, scale), ...unit(), axes) : undefined,
    c.needs(1) ? c.unbroadcast(mul(c, dy, unit()[0]), scale) : undefined,
    c.needs(2) ? c.unbroadcast(dy, c.in(2)) : undefined,
  ]
}

/** By image and channel; the statistics are computed again, as the operator does not give them. */
const instance: GradientRule = (c) => {
  const [x, dy] = [c.in(0), c.dy]
  const axes = x.shape.map((_, axis) => axis).slice(2)
  const unit = (): readonly [Value, Value] => standard(c, x, axes)
  const rest = besidesChannels(dy)
  return [
    c.needs(0) ? standardised(c, mul(c, dy, channelwise(c, c.in(1))), ...unit(), axes) : undefined,
    c.needs(1) ? vector(c, sum(c, mul(c, dy, unit()[0]), rest)) : undefined,
    c.needs(2) ? vector(c, sum(c, dy, rest)) : undefined,
  ]
}

/** Normalizations. */
export const normRules: Rules = {
  BatchNormalization: (c) => (c.info.int('training_mode', 0) === 1 ? batchTraining(c) : batchInference(c)),
  InstanceNormalization: instance,
  LayerNormalization: layer,
}
