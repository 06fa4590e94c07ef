import { type IntegerRange, quantize, symmetricScale, UINT8, WEIGHT_RANGE } from '../reference.js'

/** Symmetric 8-bit weights whose arithmetic stays float: nothing can saturate. */
export const INT8_WEIGHTS: IntegerRange = { min: -127, max: 127 }

/** How integer weights are stored for products with uint8 activations. */
export interface IntegerForm {
  readonly dtype: 'int8' | 'uint8'
  /** Around zero; what is stored is larger by `zeroPoint`. */
  readonly range: IntegerRange
  readonly zeroPoint: number
}

/**
 * `7`: int8 in 7 bits, see `WEIGHT_RANGE`. `8`: uint8 around 128. ONNX Runtime's kernels for uint8 × uint8 on x86 widen
 * both to 16 bits before they multiply (VPMADDWD), so that 32 bits hold every sum; without VNNI they are the slower ones.
 */
export const PRODUCT_FORMS: Readonly<Record<7 | 8, IntegerForm>> = {
  7: { dtype: 'int8', range: WEIGHT_RANGE, zeroPoint: 0 },
  8: { dtype: 'uint8', range: INT8_WEIGHTS, zeroPoint: 128 },
}

/**
 * How many products of a uint8 and an 8-bit weight around zero an int32 sum holds: 2^31 / (255 · 128).
 */
export const MAX_PRODUCTS = 65_793

export interface Channels {
  /** Integers around zero, in the order of the values. */
  readonly integers: Int8Array
  readonly scales: Float32Array
}

/** Symmetric integers of values, where `channelOf` says whose scale a value at an index has. */
export function quantizeChannels(
  values: Float32Array,
  channels: number,
  channelOf: (index: number) => number,
  range: IntegerRange,
): Channels {
  const peaks = new Float32Array(channels)
  for (let i = 0; i < values.length; i++) {
    const channel = channelOf(i)
    const size = Math.abs(values[i] ?? 0)
    if (size > (peaks[channel] ?? 0)) peaks[channel] = size
  }
  const scales = peaks.map((peak) => symmetricScale(peak, range))
  const integers = new Int8Array(values.length)
  for (let i = 0; i < values.length; i++)
    integers[i] = quantize(values[i] ?? 0, { scale: scales[channelOf(i)] ?? 1, zeroPoint: 0 }, range)
  return { integers, scales }
}

/** Integers around zero as their form stores them. */
export function stored(integers: Int8Array, { dtype, zeroPoint }: IntegerForm) {
  if (dtype === 'int8') return { dtype, data: integers }
  return { dtype, data: Uint8Array.from(integers, (value) => value + zeroPoint) }
}

/**
 * The scale and zero point that DynamicQuantizeLinear takes for values, in float32 as its definition does it
 * (https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html). Values that are all zero get scale 1.
 *
 * With an infinite value, or a range beyond float32, the scale is infinite and the zero point 0: what is dequantized
 * from that is NaN, so that the fault is seen. NaN is passed over here; engines differ (ONNX Runtime's native kernels
 * pass over it and make it 0, those in WebAssembly spread it), so that a model must not rely on either.
 */
export function dynamicScale(values: Float32Array): { readonly scale: number; readonly zeroPoint: number } {
  let min = 0
  let max = 0
  for (const value of values) {
    if (value < min) min = value
    if (value > max) max = value
  }
  if (min === 0 && max === 0) return { scale: 1, zeroPoint: 0 }
  const scale = Math.fround(Math.fround(max - min) / UINT8.max)
  return { scale, zeroPoint: scale === Infinity ? 0 : quantize(-min, { scale, zeroPoint: 0 }, UINT8) }
}
