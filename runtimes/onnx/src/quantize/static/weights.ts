import type { Linear } from '../../cleanup/linear.js'
import {
  type AffineScale,
  INT32,
  type IntegerRange,
  MIN_SCALE,
  quantize,
  roundHalfToEven,
  saturate,
} from '../reference.js'

/** A layer's constants as integers; scales have one value per output channel. */
export interface IntegerWeights {
  /** As the layer stores its weights. */
  readonly weight: Int8Array
  readonly scales: Float32Array
  readonly bias: Int32Array | undefined
  /** The bias's scale, which is that of the integer sums: activation scale · weight scale. */
  readonly biasScales: Float32Array
  /** The largest integer that a weight may become. */
  readonly most: number
}

export const WEIGHT: IntegerRange = { min: -127, max: 127 }

/** Up to which any two weights fit beside each other, wherever they stand. */
const ALWAYS = 64

/** What two neighbours of one sign may add up to: 255 · 128 = 32,640 is below 32,767, the end of int16. */
const PAIR = 128

/** Leaves room beside the bias in the int32 sum. */
const MAX_BIAS = 2 ** 30

/**
 * The places of a layer's weights, channel by channel, in every order in which an engine may sum them: as they are
 * stored, and for images with the input channels innermost, which is how channels-last kernels go.
 */
export function sumOrders({ node, weight, outputs, channelOf }: Linear): Int32Array[][] {
  const channels = Array.from({ length: outputs }, () => [] as number[])
  for (let place = 0; place < weight.data.length; place++) channels[channelOf(place)]?.push(place)
  const stored = channels.map((places) => Int32Array.from(places))
  if (node.opType !== 'Conv') return [stored]
  const inputs = weight.shape[1] ?? 1
  const kernel = (stored[0]?.length ?? 0) / inputs
  if (inputs === 1 || kernel === 1) return [stored]
  const channelsLast = stored.map((places) =>
    places.map((_, at) => places[(at % inputs) * kernel + Math.floor(at / inputs)] ?? 0),
  )
  return [stored, channelsLast]
}

/**
 * Scales per channel that keep x86 without VNNI from saturating. There ONNX Runtime multiplies uint8 activations with
 * int8 weights by VPMADDUBSW, which adds two neighbours' products in 16 bits (Intel SDM vol. 2C): 255 · (v + w) must
 * stay below 32,768 for neighbours of one sign. Seven bits always do (2 · 64); most channels have no two large weights
 * side by side and take nearly all of eight. The neighbours are those of every order in `sumOrders`.
 */
export function weightScales(layer: Linear, most = WEIGHT.max): Float32Array {
  const { data } = layer.weight
  const scales = new Float32Array(layer.outputs)
  for (const order of sumOrders(layer)) {
    for (const [channel, places] of order.entries()) {
      let peak = 0
      let pair = 0
      let before = 0
      for (const place of places) {
        const value = data[place] ?? 0
        peak = Math.max(peak, Math.abs(value))
        if (value > 0 === before > 0) pair = Math.max(pair, Math.abs(value + before))
        before = value
      }
      // Rounding moves each of the two by half a step at most: 127 + 1 = 128.
      // With few bits nothing can saturate.
      const scale = most <= ALWAYS ? peak / most : Math.min(peak / ALWAYS, Math.max(peak, pair) / most)
      scales[channel] = Math.max(scales[channel] ?? 0, above32(scale))
    }
  }
  return scales.map((scale) => Math.max(MIN_SCALE, scale))
}

/** The next float32 that is not below: a scale rounded down would let the largest weight round one step too far. */
function above32(scale: number): number {
  const rounded = Math.fround(scale)
  return rounded >= scale ? rounded : Math.fround(rounded * (1 + 2 ** -23))
}

/** Whether any two neighbours, in any order of summing, could saturate a 16-bit sum with some activations. */
export function canSaturate(layer: Linear, weight: ArrayLike<number>): boolean {
  return sumOrders(layer).some((order) =>
    order.some((places) => {
      let before = 0
      return places.some((place) => {
        const value = weight[place] ?? 0
        const over = value > 0 === before > 0 && Math.abs(value + before) > PAIR
        before = value
        return over
      })
    }),
  )
}

/** Whether weights can be rounded by it. */
export const isScale = (scale: number): boolean => Number.isFinite(scale) && scale >= MIN_SCALE

/** Scales that are given for a layer, where they can be taken: one for each channel, and no sum can saturate. */
function givenScales(layer: Linear, given: readonly number[] | undefined, most: number): Float32Array | undefined {
  if (given?.length !== layer.outputs) return undefined
  const scales = Float32Array.from(given)
  if (!scales.every(isScale)) return undefined
  return most > ALWAYS && canSaturate(layer, integersBy(layer, scales, most)) ? undefined : scales
}

const integersBy = ({ weight: { data }, channelOf }: Linear, scales: Float32Array, most: number): Int8Array =>
  Int8Array.from(data, (value, place) =>
    saturate(roundHalfToEven(Math.fround(value / (scales[channelOf(place)] ?? 1))), { min: -most, max: most }),
  )

/**
 * Rounds a layer's weights to the nearest integers, by scales that are given or those of `weightScales`. A channel whose bias would not fit beside its sums (its weights are
 * next to nothing) gets coarser weights, which then hardly count against its bias.
 */
export function quantizeWeights(
  layer: Linear,
  activation: number,
  most = WEIGHT.max,
  given?: readonly number[],
): IntegerWeights {
  const scales = (givenScales(layer, given, most) ?? weightScales(layer, most)).map((scale, channel) => {
    const room = Math.abs(layer.bias?.[channel] ?? 0) / (activation * MAX_BIAS)
    return room > scale ? above32(room) : scale
  })
  return { weight: integersBy(layer, scales, most), scales, most, ...quantizeBias(layer.bias, scales, activation) }
}

/** A bias in the units of the integer sums. */
export function quantizeBias(
  bias: Float32Array | undefined,
  scales: Float32Array,
  activation: number,
): Pick<IntegerWeights, 'bias' | 'biasScales'> {
  const biasScales = scales.map((scale) => activation * scale)
  const scaleAt = (channel: number): AffineScale => ({ scale: biasScales[channel] ?? 1, zeroPoint: 0 })
  return { bias: bias && Int32Array.from(bias, (b, c) => quantize(b, scaleAt(c), INT32)), biasScales }
}

/** The weights that the integers stand for. */
export function dequantizedWeights({ channelOf }: Linear, { weight, scales }: IntegerWeights): Float32Array {
  return Float32Array.from(weight, (q, place) => q * (scales[channelOf(place)] ?? 1))
}
