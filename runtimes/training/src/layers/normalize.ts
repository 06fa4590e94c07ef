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

/**
 * Ioffe and Szegedy 2015: the batch's own mean and (biased) variance normalize, and move the running ones as in Keras 3.
 */
function batchStatistics(c: LayerContext<'batchNormalization'>, value: Value): Step {
  const { epsilon, momentum } = c.layer
  const inputs = [value, ...scaleAndOffset(c), c.statistic('moving_mean'), c.statistic('moving_variance')]
  const attributes = { epsilon, momentum, training_mode: 1n }
  return {
    part: 'normalized',
    layout: 'first',
    add: (name) => {
      const [normalized, mean, variance] = c.g.ops('BatchNormalization', inputs, attributes, { name, outputs: 3 }) as [
        Value,
        Value,
        Value,
      ]
      c.update('moving_mean', mean)
      c.update('moving_variance', variance)
      return normalized
    },
  }
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
