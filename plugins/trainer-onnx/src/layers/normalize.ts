import type { PlannedLayer, ResolvedLayer } from '@tideway/core'
import type { Value } from '@tideway/onnx'
import type { LayerContext } from './context.js'
import { vector } from './dense.js'
import type { LayerRules, Step, WeightSpec } from './rule.js'

const featuresOf = ({ inputShapes }: PlannedLayer): number => inputShapes[0]?.at(-1) ?? 1

type Affine = Pick<ResolvedLayer<'batchNormalization'>, 'center' | 'scale' | 'betaInitializer' | 'gammaInitializer'>

const affine = (layer: Affine, planned: PlannedLayer): WeightSpec[] => [
  ...(layer.scale ? [vector('gamma', featuresOf(planned), layer.gammaInitializer)] : []),
  ...(layer.center ? [vector('beta', featuresOf(planned), layer.betaInitializer)] : []),
]

type Context = LayerContext<'batchNormalization' | 'layerNormalization'>

/** The scale and offset, or ones and zeros for a layer without: the operators want both. */
function scaleAndOffset(c: Context): [Value, Value] {
  const features = c.shape.at(-1) ?? 1
  const all = (value: number) =>
    c.g.constant({ dtype: 'float32', shape: [features], data: new Float32Array(features).fill(value) })
  return [c.layer.scale ? c.parameter('gamma') : all(1), c.layer.center ? c.parameter('beta') : all(0)]
}

/** A vector over the channels as it broadcasts against a value with channels first: [channels, 1, ...]. */
function upright(c: Context, part: string, value: Value): Value {
  const ones = c.shape.slice(1).map(() => 1)
  return ones.length === 0 ? value : c.op(part, 'Reshape', [value, c.ints([c.shape.at(-1) ?? 1, ...ones])])
}

/**
 * Ioffe and Szegedy 2015, with the batch's own mean and (biased) variance, as Keras 3 normalizes and moves them. Two
 * passes over the values: none of the cancellation of E[x²] - E[x]².
 */
function batchStatistics(c: LayerContext<'batchNormalization'>, value: Value): Step {
  const { epsilon, momentum } = c.layer
  const axes = c.shape.map((_, axis) => BigInt(axis === 0 ? 0 : axis + 1))
  const [gamma, beta] = scaleAndOffset(c)
  const mean = c.op('batch_mean', 'ReduceMean', [value], { axes, keepdims: 1n })
  const centered = c.op('centered', 'Sub', [value, mean])
  const squares = c.op('squares', 'Mul', [centered, centered])
  const variance = c.op('batch_variance', 'ReduceMean', [squares], { axes, keepdims: 1n })
  for (const [part, batch] of [
    ['mean', mean],
    ['variance', variance],
  ] as const) {
    const flat = c.op(`flat_${part}`, 'Reshape', [batch, c.ints([-1])])
    const kept = c.op(`kept_${part}`, 'Mul', [c.statistic(`moving_${part}`), c.scalar(momentum)])
    const moved = c.op(`moved_${part}`, 'Mul', [flat, c.scalar(1 - momentum)])
    c.update(`moving_${part}`, c.op(`next_${part}`, 'Add', [kept, moved]))
  }
  const deviation = c.op('deviation', 'Sqrt', [c.op('floored', 'Add', [variance, c.scalar(epsilon)])])
  const scale = c.op('slope', 'Div', [upright(c, 'gamma_upright', gamma), deviation])
  const scaled = c.op('scaled', 'Mul', [centered, scale])
  return c.step('normalized', 'first', 'Add', [scaled, upright(c, 'beta_upright', beta)])
}

/** Layers that center and scale. */
export const normalizeRules: LayerRules<'batchNormalization' | 'layerNormalization' | 'normalization' | 'rescaling'> = {
  batchNormalization: {
    parameters: affine,
    statistics: (layer, planned) => [
      vector('moving_mean', featuresOf(planned), layer.movingMeanInitializer),
      vector('moving_variance', featuresOf(planned), layer.movingVarianceInitializer),
    ],
    forward: (c) => {
      const { value } = c.first()
      if (c.training) return batchStatistics(c, value)
      const inputs = [value, ...scaleAndOffset(c), c.statistic('moving_mean'), c.statistic('moving_variance')]
      return c.step('normalized', 'first', 'BatchNormalization', inputs, { epsilon: c.layer.epsilon })
    },
  },
  layerNormalization: {
    parameters: affine,
    forward: (c) =>
      c.step('normalized', 'last', 'LayerNormalization', [c.last().value, ...scaleAndOffset(c)], {
        axis: -1n,
        epsilon: c.layer.epsilon,
      }),
  },
  normalization: {
    // `scale` is 1 / √variance.
    statistics: (_, planned) => [
      vector('mean', featuresOf(planned), { type: 'zeros' }),
      vector('scale', featuresOf(planned), { type: 'ones' }),
    ],
    forward: (c) => {
      const centered = c.op('centered', 'Sub', [c.last().value, c.statistic('mean')])
      return c.step('scaled', 'last', 'Mul', [centered, c.statistic('scale')])
    },
  },
  rescaling: {
    forward: (c) => {
      const { value, layout } = c.in()
      const { scale, offset } = c.layer
      if (offset === 0) return c.step('scale', layout, 'Mul', [value, c.scalar(scale)])
      const scaled = c.op('scale', 'Mul', [value, c.scalar(scale)])
      return c.step('offset', layout, 'Add', [scaled, c.scalar(offset)])
    },
  },
}
