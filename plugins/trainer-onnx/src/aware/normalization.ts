import { floats, type GraphBuilder, type NodeEmission, type NormalizedLayer, type Value } from '@tideway/onnx'
import { type ForwardContext, type ParameterSpec, type StatisticSpec } from '@tideway/training'

/** Of a layer in units of its weights. */
const EPSILON = 1e-5

type Tensors = Readonly<Record<string, Float32Array>>

/** Batch normalization behind a rounded layer that had it before, while the layer is trained. */
export interface Normalization {
  readonly layer: NormalizedLayer
  readonly parameters: readonly ParameterSpec[]
  readonly statistics: readonly StatisticSpec[]
  /** Adds the node, and while training moves the kept mean and variance. */
  emit(e: NodeEmission, context: ForwardContext, moved: Moved | undefined): Value[]
  /** What the layer's weight, in its units, is to be multiplied by, and its bias, without normalization. */
  folded(tensors: Tensors): { readonly factors: Float32Array; readonly bias: Float32Array }
}

/** What a kept value becomes when a batch is seen. */
export type Moved = (g: GraphBuilder, kept: Value, seen: Value) => Value

/**
 * What was folded unfolds: a layer without normalization does not stand the rates that it was trained at with it (Jacob et
 * al. 2018, section 3.2, keep it, too). With a scale for each output channel folding afterwards multiplies scales and
 * leaves integers as they are, so that what is rounded is what ships. Scale and offset begin so that results are, over the
 * calibration rows, what they were.
 */
export function normalizationOf(layer: NormalizedLayer, units: Float32Array, bias: Float32Array): Normalization {
  const { output } = layer
  const shape = [units.length]
  const name = (part: string): string => `/${part}/${output}`
  const [scale, offset, mean, variance] = ['gamma', 'beta', 'mean', 'variance'].map(name) as [
    string,
    string,
    string,
    string,
  ]
  const own = (values: (channel: number) => number) => () => Float32Array.from(units, (_, channel) => values(channel))
  const unit = (channel: number): number => units[channel] ?? 1
  const meanOf = (channel: number): number => ((layer.mean[channel] ?? 0) - (bias[channel] ?? 0)) / unit(channel)
  const varianceOf = (channel: number): number => (layer.variance[channel] ?? 0) / unit(channel) ** 2
  const parameter = (name_: string, initial: () => Float32Array): ParameterSpec => ({
    name: name_,
    shape,
    trainable: true,
    decays: false,
    initial,
  })
  return {
    layer,
    parameters: [
      parameter(
        scale,
        own((channel) => unit(channel) * Math.sqrt(varianceOf(channel) + EPSILON)),
      ),
      parameter(
        offset,
        own((channel) => layer.mean[channel] ?? 0),
      ),
    ],
    statistics: [
      { name: mean, shape, initial: own(meanOf) },
      { name: variance, shape, initial: own(varianceOf) },
    ],
    emit(e, context, moved) {
      const kept = [context.statistic(mean), context.statistic(variance)] as const
      const inputs = [e.in(0), context.parameter(scale), context.parameter(offset), ...kept]
      if (moved === undefined) return e.result('BatchNormalization', inputs, { epsilon: EPSILON })
      const attributes = { epsilon: EPSILON, momentum: 0, training_mode: 1n }
      const [y, ...seen] = e.results('BatchNormalization', inputs, attributes, 3) as [Value, Value, Value]
      for (const [at, statistic] of [mean, variance].entries())
        context.update(statistic, moved(e.g, kept[at] as Value, seen[at] as Value))
      return [y]
    },
    folded(tensors) {
      const of = (tensor: string, channel: number): number => tensors[tensor]?.[channel] ?? 0
      const factors = own((channel) => of(scale, channel) / Math.sqrt(of(variance, channel) + EPSILON))()
      return { factors, bias: own((channel) => of(offset, channel) - of(mean, channel) * (factors[channel] ?? 0))() }
    },
  }
}

export const onlySeen: Moved = (_g, _kept, seen) => seen

/**
 * An average over what was seen: the newest counts for 1 - `momentum`, and more at first, when there is nothing else of
 * this network to go by.
 */
export const averaging =
  (momentum: number, seenBefore: Value): Moved =>
  (g, kept, seen) => {
    const number = (value: number): Value => g.constant(floats('float32', [value]))
    const early = g.op('Div', [g.op('Add', [seenBefore, number(1)]), g.op('Add', [seenBefore, number(WARM)])])
    const share = g.op('Min', [early, number(momentum)])
    return g.op('Add', [g.op('Mul', [kept, share]), g.op('Mul', [seen, g.op('Sub', [number(1), share])])])
  }

/** Batches until half of the first average is of them. */
const WARM = 10
