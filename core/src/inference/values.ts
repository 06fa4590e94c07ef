import { arrayClasses, type DataType, type Tensor } from '../contracts/tensor.js'
import { bfloat16ToNumber, numberToBfloat16 } from '../runtime/bfloat16.js'
import { halfToNumber, numberToHalf } from '../runtime/half.js'
import { LONE_SURROGATE } from './binary.js'
import { datatypeOf } from './datatypes.js'
import type { Issues } from './issues.js'

/** Smallest and largest value of the integers that fit a JavaScript number. */
export const RANGES = {
  int8: [-(2 ** 7), 2 ** 7 - 1],
  uint8: [0, 2 ** 8 - 1],
  int16: [-(2 ** 15), 2 ** 15 - 1],
  uint16: [0, 2 ** 16 - 1],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
} as const satisfies Partial<Record<DataType, readonly [number, number]>>

export const BIG_RANGES = { int64: [-(2n ** 63n), 2n ** 63n - 1n], uint64: [0n, 2n ** 64n - 1n] } as const

const DIGITS = /^-?\d{1,20}$/

/** Floats of 16 bits: their rounding, and the bits of infinity. */
export const SHORT_FLOATS = {
  float16: { toBits: numberToHalf, toNumber: halfToNumber, infinity: 0x7c00 },
  bfloat16: { toBits: numberToBfloat16, toNumber: bfloat16ToNumber, infinity: 0x7f80 },
} as const

/** Where values stand, for messages, and what of JSON's values stands for what JSON lacks. */
export interface Reading {
  readonly at: string
  readonly issues: Issues
  readonly nullIsNaN: boolean
  /** Whether a number beyond all doubles is an infinity that was written as such. */
  readonly infinite: boolean
}

/**
 * The values of a tensor from a flat JSON list, in the array that holds its type, each checked. Plain loops that make
 * nothing per value: this is the hot path of every inference over HTTP.
 */
export function decodeValues(dtype: DataType, flat: ArrayLike<unknown>, reading: Reading): Tensor['data'] {
  switch (dtype) {
    case 'float32':
    case 'float64':
      return decodeFloats(dtype, flat, reading)
    case 'float16':
    case 'bfloat16':
      return decodeShortFloats(dtype, flat, reading)
    case 'int64':
    case 'uint64':
      return decodeBigIntegers(dtype, flat, reading)
    case 'bool':
      return decodeBooleans(flat, reading)
    case 'string':
      return decodeStrings(flat, reading)
    default:
      return decodeIntegers(dtype, flat, reading)
  }
}

/**
 * The values of a tensor as a flat list for `JSON.stringify`: 64-bit integers as strings of digits, halves as numbers;
 * NaN and infinities, which JSON lacks, become null by it.
 */
function encodeValues(tensor: Tensor): readonly (number | string | boolean)[] {
  switch (tensor.dtype) {
    case 'int64':
    case 'uint64':
      return Array.from<bigint, string>(tensor.data, String)
    case 'float16':
    case 'bfloat16':
      return Array.from(tensor.data, SHORT_FLOATS[tensor.dtype].toNumber)
    case 'bool':
      return Array.from(tensor.data, Boolean)
    case 'string':
      return tensor.data
    default:
      return Array.from(tensor.data)
  }
}

/**
 * The values of a tensor as JSON text, flat. 64-bit integers are numbers with all their digits, or strings of them. NaN
 * and infinities are the bare words that Triton writes (RapidJSON's kWriteNanAndInfFlag), or null.
 */
export function valuesText(tensor: Tensor, { int64AsString, nonFiniteAsNull }: TextOptions): string {
  switch (tensor.dtype) {
    case 'bool':
    case 'string':
      return JSON.stringify(encodeValues(tensor))
    case 'int64':
    case 'uint64':
      return int64AsString ? JSON.stringify(encodeValues(tensor)) : `[${tensor.data.join(',')}]`
    default: {
      // Of all finite numbers this is twice as fast as to join them.
      const values = encodeValues(tensor)
      const plain = nonFiniteAsNull || values.every(Number.isFinite)
      return plain ? JSON.stringify(values) : `[${values.join(',')}]`
    }
  }
}

/** How values that JSON finds hard are written. */
export interface TextOptions {
  readonly int64AsString: boolean
  readonly nonFiniteAsNull: boolean
}

function decodeFloats(dtype: 'float32' | 'float64', flat: ArrayLike<unknown>, reading: Reading) {
  const { at, issues, nullIsNaN, infinite } = reading
  const values = new arrayClasses[dtype](flat.length)
  for (let i = 0; i < flat.length; i++) {
    const value = flat[i]
    if (typeof value === 'number') {
      values[i] = value
      if (!Number.isFinite(values[i]) && !(infinite && Math.abs(value) === Number.POSITIVE_INFINITY))
        issues.add(`${at}.${i}: is out of range for ${datatypeOf(dtype)}`)
    } else if (value === null && nullIsNaN) values[i] = Number.NaN
    else issues.add(`${at}.${i}: must be a number`)
  }
  return values
}

function decodeShortFloats(dtype: keyof typeof SHORT_FLOATS, flat: ArrayLike<unknown>, reading: Reading): Uint16Array {
  const { at, issues, nullIsNaN, infinite } = reading
  const { toBits, infinity } = SHORT_FLOATS[dtype]
  const values = new Uint16Array(flat.length)
  for (let i = 0; i < flat.length; i++) {
    const value = flat[i]
    if (typeof value === 'number') {
      const bits = toBits(value)
      values[i] = bits
      if ((bits & 0x7fff) === infinity && !(infinite && Math.abs(value) === Number.POSITIVE_INFINITY))
        issues.add(`${at}.${i}: is out of range for ${datatypeOf(dtype)}`)
    } else if (value === null && nullIsNaN) values[i] = toBits(Number.NaN)
    else issues.add(`${at}.${i}: must be a number`)
  }
  return values
}

function decodeIntegers(dtype: keyof typeof RANGES, flat: ArrayLike<unknown>, { at, issues }: Reading) {
  const [min, max] = RANGES[dtype]
  const values = new arrayClasses[dtype](flat.length)
  for (let i = 0; i < flat.length; i++) {
    const value = flat[i]
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) values[i] = value
    else issues.add(`${at}.${i}: must be a whole number from ${min} to ${max}`)
  }
  return values
}

/** Whether some number may have lost digits in `JSON.parse`, so that the text must be asked. */
export function hasLossy(flat: ArrayLike<unknown>): boolean {
  for (let i = 0; i < flat.length; i++) if (typeof flat[i] === 'number' && !Number.isSafeInteger(flat[i])) return true
  return false
}

/** JSON numbers beyond 2^53 have lost digits unless they are strings by the time they are here. */
function decodeBigIntegers(dtype: keyof typeof BIG_RANGES, flat: ArrayLike<unknown>, { at, issues }: Reading) {
  const [min, max] = BIG_RANGES[dtype]
  const values = new arrayClasses[dtype](flat.length)
  for (let i = 0; i < flat.length; i++) {
    const value = flat[i]
    if (typeof value === 'number' ? Number.isSafeInteger(value) : typeof value === 'string' && DIGITS.test(value)) {
      const big = BigInt(value as number | string)
      if (big >= min && big <= max) values[i] = big
      else issues.add(`${at}.${i}: must be from ${min} to ${max}`)
    } else if (Number.isInteger(value)) issues.add(`${at}.${i}: is beyond 2^53: write it as digits alone`)
    else issues.add(`${at}.${i}: must be a whole number`)
  }
  return values
}

function decodeBooleans(flat: ArrayLike<unknown>, { at, issues }: Reading): Uint8Array {
  const values = new Uint8Array(flat.length)
  for (let i = 0; i < flat.length; i++) {
    const value = flat[i]
    if (value === true || value === 1) values[i] = 1
    else if (value !== false && value !== 0) issues.add(`${at}.${i}: must be true or false`)
  }
  return values
}

function decodeStrings(flat: ArrayLike<unknown>, { at, issues }: Reading): string[] {
  for (let i = 0; i < flat.length; i++) {
    const value = flat[i]
    if (typeof value !== 'string') issues.add(`${at}.${i}: must be a string`)
    else if (LONE_SURROGATE.test(value)) issues.add(`${at}.${i}: has half of a surrogate pair, which is no text`)
  }
  // Every one of them was looked at.
  return flat as ArrayLike<string> as string[]
}
