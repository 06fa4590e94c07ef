import {
  FAKE_QUANTIZE,
  floats,
  type GraphBuilder,
  LEARNED_QUANTIZE,
  type RoundedWeight,
  type Value,
  type Weight,
} from '@tideway/onnx'
import { type ForwardContext, type ParameterSpec } from '@tideway/training'
import { weightScale } from './rounding.js'
import { channelsOf, leastSquares, levelsOf, roundTo, unitsOf } from './scales.js'

type Tensors = Readonly<Record<string, Float32Array>>

/** With so many bits weights are fine enough as they are, and their scales are bound to what engines can sum. */
const ALL_BITS = 8

/** A weight as it is shipped, and the scales by which it was rounded, where they were trained. */
export interface Shipped {
  readonly data: Float32Array
  readonly scales?: Float32Array
}

/** A layer's weight that is rounded in every forward pass. */
export interface Kernel {
  readonly parameters: readonly ParameterSpec[]
  /** The size of each output channel, a power of two, in which the weight is trained. */
  readonly units: Float32Array
  /** The weight in its units. */
  value(context: ForwardContext): Value
  /** The same, rounded. */
  rounded(g: GraphBuilder, value: Value, context: ForwardContext): Value
  /** The weight times a factor for each channel; undefined where the tensors do not hold it. */
  shipped(tensors: Tensors, factors: ArrayLike<number>): Shipped | undefined
}

/**
 * Folded batch normalization leaves channels of all sizes; trained in units of its channel, a weight takes steps that fit
 * it. With fewer than 8 bits its scales are trained, too: learned step sizes (Esser et al. 2020, arXiv:1902.08153), one a
 * channel, as logarithms to base 2 (Jain et al. 2020, arXiv:1903.08066), which keeps them positive and their steps in
 * proportion. They begin where rounding makes the least squared error.
 */
export function kernelOf({ name, axis }: RoundedWeight, { tensor }: Weight, spec: ParameterSpec, bits: number): Kernel {
  const { shape } = tensor
  const channels = channelsOf(shape, axis)
  const data = tensor.data as Float32Array
  const units = unitsOf(data, channels)
  const levels = levelsOf(bits)
  const scaleName = bits < ALL_BITS ? `/scale/${name}` : undefined
  const inUnits = (): Float32Array => data.map((value, place) => value / (units[channels.of(place)] ?? 1))
  const logarithms: ParameterSpec[] =
    scaleName === undefined
      ? []
      : [
          {
            name: scaleName,
            shape: [channels.count],
            trainable: true,
            decays: false,
            initial: () => leastSquares(inUnits(), channels, levels).map(Math.log2),
          },
        ]
  return {
    parameters: [{ ...spec, initial: inUnits }, ...logarithms],
    units,
    value: (context) => context.parameter(spec.name),
    rounded(g, value, context) {
      if (scaleName === undefined) return g.op(FAKE_QUANTIZE, [value, weightScale(g, value, axis, bits)])
      const scale = g.op('Pow', [g.constant(floats('float32', [2])), context.parameter(scaleName)])
      const broadcast = BigInt64Array.from(shape, (size, at) => BigInt(at === axis ? size : 1))
      const shaped = g.op('Reshape', [scale, g.constant({ dtype: 'int64', shape: [shape.length], data: broadcast })])
      return g.op(LEARNED_QUANTIZE, [value, shaped], { levels: BigInt(levels) })
    },
    shipped(tensors, factors) {
      const given = tensors[spec.name]
      if (given === undefined) return undefined
      const factorOf = (place: number): number => factors[channels.of(place)] ?? 1
      const logs = scaleName === undefined ? undefined : tensors[scaleName]
      if (logs === undefined) return { data: given.map((value, place) => value * factorOf(place)) }
      const own = logs.map((value) => 2 ** value)
      const scales = own.map((scale, channel) => Math.abs(scale * (factors[channel] ?? 1)))
      // A frozen weight is what it was; of others the rounded one is what was trained.
      const rounded = spec.trainable
        ? given.map((value, place) => roundTo(value, own[channels.of(place)] ?? 1, levels))
        : given
      return { data: rounded.map((value, place) => value * factorOf(place)), scales }
    },
  }
}
