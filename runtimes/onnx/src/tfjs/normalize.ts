import { type Emission, inLast, type Rule, type Rules } from './emission.js'
import { attr, type Ref } from './graph-def.js'
import { Refused } from './values.js'

const KEEP = { keep_dims: attr.bool(true) }

/** A factor and a summand for each channel, computed here in double precision. */
const batchNormalization: Rule = (e) => {
  const constants = [1, 2, 3, 4].map((place) => e.constant(place)?.data)
  const [scale, bias, mean, variance] = constants
  if (scale === undefined || bias === undefined || mean === undefined || variance === undefined)
    throw new Refused('its statistics are computed when the model runs')
  const epsilon = e.info.float('epsilon', 1e-5)
  const factor = Float32Array.from(scale, (value, at) => value / Math.sqrt((variance[at] as number) + epsilon))
  const summand = Float32Array.from(
    bias,
    (value, at) =>
      value - ((mean[at] as number) * (scale[at] as number)) / Math.sqrt((variance[at] as number) + epsilon),
  )
  const isLast = e.values.isLast(e.in(0))
  const rank = e.in(0).shape.length
  const shape = isLast ? [scale.length] : [scale.length, ...Array<number>(Math.max(0, rank - 2)).fill(1)]
  const by = (data: Float32Array, what: string) => e.stored({ dtype: 'float32', shape, data }, what)
  const x = isLast ? e.last(0) : e.first(0)
  const y = e.op('AddV2', [e.op('Mul', [x, by(factor, 'scale')]), by(summand, 'shift')])
  return isLast ? { last: y } : { first: y }
}

/** (x - mean) / √(variance + ε) over axes, the mean and the inverse deviation. */
function normal(e: Emission, x: Ref, axes: readonly number[]): [Ref, Ref, Ref] {
  const averaged = (value: Ref): Ref => e.op('Mean', [value, e.ints(axes)], KEEP)
  const mean = averaged(x)
  const centered = e.op('Sub', [x, mean])
  const variance = averaged(e.op('Square', [centered]))
  const inverse = e.op('Rsqrt', [e.op('AddV2', [variance, e.number(e.info.float('epsilon', 1e-5))])])
  return [e.op('Mul', [centered, inverse]), mean, inverse]
}

const layerNormalization: Rule = (e) => {
  const rank = e.in(0).shape.length
  const from = e.axis(e.info.int('axis', -1))
  const axes = Array.from({ length: rank - from }, (_, at) => from + at)
  const [y, mean, inverse] = normal(e, e.first(0), axes)
  const scaled = e.op('Mul', [y, e.first(1)])
  const bias = e.maybe(2)
  return [bias === undefined ? scaled : e.op('AddV2', [scaled, e.values.first(bias)]), mean, inverse]
}

const instanceNormalization: Rule = (e) => {
  const { shape } = e.in(0)
  const spread = (place: number): Ref => e.reshape(e.first(place), [shape[1] as number, ...shape.slice(2).map(() => 1)])
  const axes = shape.map((_, axis) => axis).slice(2)
  const [y] = normal(e, e.first(0), axes)
  return e.op('AddV2', [e.op('Mul', [y, spread(1)]), spread(2)])
}

/** Along the last axis it is one operator. */
const softmax =
  (isLog: boolean): Rule =>
  (e) => {
    const rank = e.in(0).shape.length
    const axis = e.axis(e.info.int('axis', -1))
    const isLast = e.values.isLast(e.in(0))
    const at = isLast ? inLast(axis, rank) : axis
    const x = isLast ? e.last(0) : e.first(0)
    const y = !isLog && at === rank - 1 ? e.op('Softmax', [x]) : along(e, x, at, isLog)
    return isLast ? { last: y } : { first: y }
  }

function along(e: Emission, x: Ref, axis: number, isLog: boolean): Ref {
  const over = (op: string, value: Ref): Ref => e.op(op, [value, e.ints([axis])], KEEP)
  const shifted = e.op('Sub', [x, over('Max', x)])
  const powers = e.op('Exp', [shifted])
  const sum = over('Sum', powers)
  return isLog ? e.op('Sub', [shifted, e.op('Log', [sum])]) : e.op('RealDiv', [powers, sum])
}

/** Operators that divide by what they sum. */
export const normalizations: Rules = {
  BatchNormalization: batchNormalization,
  InstanceNormalization: instanceNormalization,
  LayerNormalization: layerNormalization,
  LogSoftmax: softmax(true),
  Softmax: softmax(false),
}
