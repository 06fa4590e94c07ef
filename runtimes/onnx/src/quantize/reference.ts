/**
 * Integers for real numbers, in plain TypeScript: the definition that graphs are tested against, and what the
 * quantizer itself uses for constants. As ONNX defines QuantizeLinear and DequantizeLinear
 * (https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html): q = saturate(roundHalfToEven(x / scale) + zeroPoint) and
 * x' = (q - zeroPoint) · scale, both in float32.
 */

/** An integer type's limits, or a narrower range inside them. */
export interface IntegerRange {
  readonly min: number
  readonly max: number
}

export interface AffineScale {
  /** A positive, normal float32. */
  readonly scale: number
  readonly zeroPoint: number
}

export const UINT8: IntegerRange = { min: 0, max: 255 }
export const INT32: IntegerRange = { min: -(2 ** 31), max: 2 ** 31 - 1 }

/**
 * Weights use 7 bits, -64 to 64. ONNX Runtime multiplies uint8 activations with int8 weights by VPMADDUBSW on x86
 * without VNNI: it adds two products in 16 bits and saturates (Intel SDM vol. 2C). 2 · 255 · 64 = 32,640 still fits
 * below 32,767; with 65 it would not. ONNX Runtime's advice is the same ("reduce_range", "When and why do I need to try
 * U8U8?", https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
 */
export const WEIGHT_RANGE: IntegerRange = { min: -64, max: 64 }

/**
 * The finest scale. Below about 1e-18 values are zero for every purpose here, and the product of an activation's and a
 * weight's scale, which a bias uses, stays a normal float32 (engines flush denormals differently).
 */
export const MIN_SCALE = 2 ** -60

/** Rounds to the nearest integer, halves to the even one; exact for every double. */
export function roundHalfToEven(x: number): number {
  const floor = Math.floor(x)
  const rest = x - floor
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1
  return floor % 2 === 0 ? floor : floor + 1
}

export function saturate(x: number, range: IntegerRange): number {
  return Math.min(range.max, Math.max(range.min, x))
}

/** One value; NaN gives the zero point. */
export function quantize(x: number, { scale, zeroPoint }: AffineScale, range: IntegerRange): number {
  if (Number.isNaN(x)) return zeroPoint
  return saturate(roundHalfToEven(Math.fround(Math.fround(x) / scale)) + zeroPoint, range)
}

export function dequantize(q: number, { scale, zeroPoint }: AffineScale): number {
  return Math.fround((q - zeroPoint) * scale)
}

/**
 * The scale and zero point that carry [min, max] in a range of integers. The range is widened to hold 0, which then is
 * exact (padding and ReLU make many zeros). A range of 0 alone gets scale 1.
 */
export function affineScale(min: number, max: number, range: IntegerRange): AffineScale {
  const low = Math.min(0, min)
  const high = Math.max(0, max)
  if (low === 0 && high === 0) return { scale: 1, zeroPoint: saturate(0, range) }
  // Divided before subtracting: the difference of two float32 may exceed float32.
  const steps = range.max - range.min
  const scale = floor32(high / steps - low / steps)
  const zeroPoint = saturate(roundHalfToEven(range.min - low / scale), range)
  return { scale, zeroPoint }
}

/** The scale that carries [-peak, peak] symmetrically, so that the zero point is 0; scale 1 for a peak of 0. */
export function symmetricScale(peak: number, range: IntegerRange): number {
  return peak === 0 ? 1 : floor32(peak / range.max)
}

function floor32(scale: number): number {
  return Math.max(MIN_SCALE, Math.fround(scale))
}

/**
 * The integer product of a dense layer: `activations` [rows, inner] and `weights` [inner, columns] row-major, both with
 * their zero points already subtracted; `bias` per column. Exact for sums below 2^53.
 */
export function integerDense(
  activations: ArrayLike<number>,
  weights: ArrayLike<number>,
  bias: ArrayLike<number> | undefined,
  [rows, inner, columns]: readonly [number, number, number],
): Float64Array {
  const out = new Float64Array(rows * columns)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = bias?.[column] ?? 0
      for (let k = 0; k < inner; k++) {
        sum += (activations[row * inner + k] ?? 0) * (weights[k * columns + column] ?? 0)
      }
      out[row * columns + column] = sum
    }
  }
  return out
}
