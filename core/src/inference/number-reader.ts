import { isSpace } from './space.js'

const COMMA = 0x2c
const MINUS = 0x2d
const PLUS = 0x2b
const POINT = 0x2e
const ZERO = 0x30
const EXPONENT = 0x65
/** Makes a lower-case letter of an upper-case one. */
const LOWER = 0x20
const CLOSE_LIST = 0x5d

/** Whole numbers up to here, and powers of ten up to the 22nd, are doubles: one operation on two of them is rounded once. */
const MAX_EXACT = 2 ** 53
const MAX_POWER = 22
const POWERS = Float64Array.from({ length: MAX_POWER + 1 }, (_, power) => Number(`1e${power}`))
/** So many digits fit into 32 bits. */
const MAX_RUN = 9

/** How far a number may be from what is written where `isRounded`, relative to it: five roundings of 2^-53, and room to spare. */
export const ROUNDED = 2 ** -49

/** Values of one text; more are read by `JSON.parse`. */
const MAX_VALUES = 1 << 20
/** One for all texts, which are read one after another. */
let scratch = new Float64Array(1 << 12)

/**
 * Reads lists of JSON's numbers from bytes, one behind the other into the same memory. Rounded correctly: by Clinger's fast
 * path where it is exact, else by `Number` (W. Clinger, How to Read Floating Point Numbers Accurately, 1990); but for numbers of
 * 16 to 27 digits, which is what 32-bit floats become when they are written as doubles: `isRounded` says so.
 */
export class NumberReader {
  /** Where the last list ended. */
  at = 0
  filled = 0
  isRounded = false

  constructor(private readonly bytes: Uint8Array) {}

  /** Valid until the next text is read. */
  values(from: number, to: number): Float64Array {
    return scratch.subarray(from, to)
  }

  /**
   * Numbers from `begin`, behind the opening bracket, up to and with the closing bracket; how many, or -1. One function over the bytes, since this is where the time
   * goes; `| 0` makes a 0 of what lies behind the end, which is no part of a number.
   */
  take(begin: number): number {
    const { bytes } = this
    let at = begin
    let { filled } = this
    let target = scratch
    const before = filled
    for (;;) {
      let byte = bytes[at]! | 0
      while (byte <= 0x20 && isSpace(byte)) byte = bytes[++at]! | 0
      const isNegative = byte === MINUS
      if (isNegative) byte = bytes[++at]! | 0
      const first = at
      let digit = byte - ZERO
      // Wraps around where there are more than nine, which are then read again.
      let digits = 0
      if (digit >>> 0 > 9) return -1
      do {
        digits = (Math.imul(digits, 10) + digit) | 0
        byte = bytes[++at]! | 0
        digit = byte - ZERO
      } while (digit >>> 0 <= 9)
      if (bytes[first] === ZERO && at > first + 1) return -1
      const point = at
      let power = 0
      if (byte === POINT) {
        byte = bytes[++at]! | 0
        digit = byte - ZERO
        if (digit >>> 0 > 9) return -1
        do {
          digits = (Math.imul(digits, 10) + digit) | 0
          byte = bytes[++at]! | 0
          digit = byte - ZERO
        } while (digit >>> 0 <= 9)
        power = point + 1 - at
      }
      const end = at
      if ((byte | LOWER) === EXPONENT) {
        byte = bytes[++at]! | 0
        const isSmall = byte === MINUS
        if (isSmall || byte === PLUS) byte = bytes[++at]! | 0
        digit = byte - ZERO
        if (digit >>> 0 > 9) return -1
        let exponent = 0
        do {
          exponent = exponent * 10 + digit
          byte = bytes[++at]! | 0
          digit = byte - ZERO
        } while (digit >>> 0 <= 9)
        power += isSmall ? -exponent : exponent
      }
      if (filled === target.length) {
        if (!grow()) return -1
        target = scratch
      }
      const isShort = end - first <= MAX_RUN && power >= -MAX_POWER && power <= MAX_POWER
      const value = isShort ? scaled(digits, power) : this.long(first, point, end, at, power)
      target[filled++] = isNegative ? -value : value
      while (byte <= 0x20 && isSpace(byte)) byte = bytes[++at]! | 0
      at++
      if (byte === COMMA) continue
      if (byte !== CLOSE_LIST) return -1
      this.at = at
      this.filled = filled
      return filled - before
    }
  }

  /** A number of many digits, without its sign: with its point behind `point`, its digits' end, and its exponent's. */
  private long(begin: number, point: number, end: number, after: number, power: number): number {
    const whole = point - begin
    const behind = Math.max(0, end - point - 1)
    if (whole <= MAX_RUN && behind <= 2 * MAX_RUN && power >= -MAX_POWER && power <= MAX_POWER) {
      const middle = Math.min(behind, MAX_RUN)
      const rest = behind - middle
      const head = this.run(begin, point) * (POWERS[middle] as number) + this.run(point + 1, point + 1 + middle)
      const digits = head * (POWERS[rest] as number) + this.run(end - rest, end)
      // Beyond 2^53 it may have been rounded, but never down to it.
      if (digits >= MAX_EXACT) this.isRounded = true
      return scaled(digits, power)
    }
    return Number(ascii.decode(this.bytes.subarray(begin, after)))
  }

  /** Nine digits at most. */
  private run(from: number, to: number): number {
    const { bytes } = this
    let digits = 0
    for (let at = from; at < to; at++) digits = (Math.imul(digits, 10) + ((bytes[at]! | 0) - ZERO)) | 0
    return digits
  }
}

function scaled(digits: number, power: number): number {
  return power < 0 ? digits / (POWERS[-power] as number) : digits * (POWERS[power] as number)
}

const ascii = new TextDecoder('latin1')

/** False where there are too many values. */
function grow(): boolean {
  if (scratch.length >= MAX_VALUES) return false
  const larger = new Float64Array(scratch.length * 4)
  larger.set(scratch)
  scratch = larger
  return true
}
