/** The largest finite float16; what is larger by half a step or more becomes infinite. */
export const MAX_HALF = 65_504

/** Float32's exponent less float16's, of the same number. */
const BIAS = 112
const HALF_NAN = 0x7e00
const HALF_INFINITY = 0x7c00

/**
 * The bits of float16 values (IEEE 754-2019, binary16), halves of a step to the even neighbour: what core's
 * `numberToHalf` defines for one number, on the bits of many.
 */
export function toHalf(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const halves = new Uint16Array(values.length)
  for (let i = 0; i < bits.length; i++) halves[i] = halfOf(bits[i] ?? 0)
  return halves
}

function halfOf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000
  const exponent = ((bits >>> 23) & 0xff) - BIAS
  const fraction = bits & 0x7fffff
  if (exponent === 0xff - BIAS) return fraction === 0 ? sign | HALF_INFINITY : HALF_NAN
  if (exponent > 30) return sign | HALF_INFINITY
  if (exponent > 0) return sign | rounded((exponent << 23) | fraction, 13)
  // Denormal: the leading 1 becomes a digit like any other. Below half of the smallest one all digits are cut off.
  return exponent < -10 ? sign : sign | rounded(0x800000 | fraction, 14 - exponent)
}

/** A number without its last bits, rounded to even; a carry out of the fraction is a step of the exponent. */
function rounded(digits: number, bits: number): number {
  const kept = digits >>> bits
  const rest = digits & ((1 << bits) - 1)
  const half = 1 << (bits - 1)
  return rest > half || (rest === half && kept % 2 === 1) ? kept + 1 : kept
}

export function fromHalf(halves: Uint16Array): Float32Array {
  const values = new Float32Array(halves.length)
  const bits = new Uint32Array(values.buffer)
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i] ?? 0
    const [sign, exponent, fraction] = [(half & 0x8000) << 16, (half >> 10) & 0x1f, half & 0x3ff]
    if (exponent === 0) values[i] = (sign === 0 ? 1 : -1) * fraction * 2 ** -24
    else bits[i] = sign | ((exponent === 0x1f ? 0xff : exponent + BIAS) << 23) | (fraction << 13)
  }
  return values
}

/** Relative error (of the L2 norm) up to which weights count as kept: eight times that of normal float16 numbers. */
const MAX_RELATIVE_ERROR = 2 ** -9

/** Why values cannot be float16, if they cannot; losing small ones does not count where `small` says so. */
export function halfIssue(values: Float32Array, small = false): string | undefined {
  const back = fromHalf(toHalf(values))
  let power = 0
  let error = 0
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0
    if (!Number.isFinite(value)) return 'a value of it is not finite'
    if (Math.abs(value) > MAX_HALF) return `a value of it is beyond ${MAX_HALF}, the largest float16`
    power += value ** 2
    error += ((back[i] ?? 0) - value) ** 2
  }
  return !small && error > MAX_RELATIVE_ERROR ** 2 * power ? 'its values are too small for float16' : undefined
}
