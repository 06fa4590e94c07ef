import { roundTiesToEven } from './half.js'

/** From here on the nearest bfloat16 is infinite: the middle between the largest one and 2^128. */
const OVERFLOW = (2 - 2 ** -8) * 2 ** 127

/** Room for one float32, whose upper half a bfloat16 is. */
const float = new Float32Array(1)
const bitsOf = new Uint32Array(float.buffer)

/** The number that the 16 bits of a bfloat16 stand for (the upper half of an IEEE 754 binary32). */
export function bfloat16ToNumber(bits: number): number {
  bitsOf[0] = bits << 16
  return float[0]!
}

/**
 * The bits of the bfloat16 nearest to a number, ties to even; beyond the largest one it is infinite. Straight from the
 * double: by way of float32 it would be rounded twice.
 */
export function numberToBfloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const size = Math.abs(value)
  if (size >= OVERFLOW) return sign | 0x7f80
  const exponent = Math.max(-126, Math.floor(Math.log2(size)))
  // Scaled to [1, 2) first: 2 ** (7 - exponent) alone may leave the range of doubles.
  const units = roundTiesToEven((size / 2 ** exponent) * 2 ** 7)
  // Rounding up to the next power of two carries into the exponent by itself.
  return sign | (units < 128 ? units : (exponent + 126) * 128 + units)
}
