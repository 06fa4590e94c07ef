import { arrayClasses, type DataType, type Tensor } from '../contracts/tensor.js'
import type { NumberList } from './number-lists.js'
import { ROUNDED } from './number-reader.js'
import { BIG_RANGES, RANGES, SHORT_FLOATS } from './values.js'

/**
 * The values of a tensor from numbers read straight from JSON's bytes, in the array that holds its type. Undefined where one of
 * them is no value of that type, or not known well enough for it: then the JSON is to be read as a whole. Plain loops: this is
 * the hot path of inference in JSON.
 */
export function numbersOf(dtype: DataType, list: NumberList): Tensor['data'] | undefined {
  switch (dtype) {
    case 'float32':
      return singles(list)
    case 'float64':
      return doubles(list)
    case 'float16':
    case 'bfloat16':
      return shortFloats(dtype, list)
    case 'int64':
    case 'uint64':
      return bigIntegers(dtype, list)
    case 'bool':
      return booleans(list)
    case 'string':
      return undefined
    default:
      return integers(dtype, list)
  }
}

function singles({ values, isRounded }: NumberList): Float32Array | undefined {
  const data = new Float32Array(values.length)
  for (let i = 0; i < data.length; i++) {
    data[i] = values[i] as number
    if (!Number.isFinite(data[i])) return undefined
  }
  return !isRounded || agree(values, Math.fround) ? data : undefined
}

function doubles({ values, isRounded }: NumberList): Float64Array | undefined {
  return !isRounded && values.every(Number.isFinite) ? values.slice() : undefined
}

function shortFloats(dtype: keyof typeof SHORT_FLOATS, { values, isRounded }: NumberList): Uint16Array | undefined {
  const { toBits, infinity } = SHORT_FLOATS[dtype]
  const data = new Uint16Array(values.length)
  for (let i = 0; i < data.length; i++) {
    data[i] = toBits(values[i] as number)
    if (((data[i] as number) & 0x7fff) === infinity) return undefined
  }
  return !isRounded || agree(values, toBits) ? data : undefined
}

function integers(dtype: keyof typeof RANGES, { values, isRounded }: NumberList): Tensor['data'] | undefined {
  if (isRounded) return undefined
  const [min, max] = RANGES[dtype]
  const data = new arrayClasses[dtype](values.length)
  for (let i = 0; i < data.length; i++) {
    const value = values[i] as number
    if (!Number.isInteger(value) || value < min || value > max) return undefined
    data[i] = value
  }
  return data
}

function bigIntegers(dtype: keyof typeof BIG_RANGES, { values, isRounded }: NumberList): Tensor['data'] | undefined {
  if (isRounded) return undefined
  const [min, max] = BIG_RANGES[dtype]
  const data = new arrayClasses[dtype](values.length)
  for (let i = 0; i < data.length; i++) {
    const value = values[i] as number
    if (!Number.isSafeInteger(value)) return undefined
    const big = BigInt(value)
    if (big < min || big > max) return undefined
    data[i] = big
  }
  return data
}

function booleans({ values, isRounded }: NumberList): Uint8Array | undefined {
  return !isRounded && values.every((value) => value === 0 || value === 1) ? new Uint8Array(values) : undefined
}

/** Whether all that a value may be, within its rounding, is one value of the narrower type. */
function agree(values: Float64Array, narrow: (value: number) => number): boolean {
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    if (narrow(value * (1 - ROUNDED)) !== narrow(value * (1 + ROUNDED))) return false
  }
  return true
}
