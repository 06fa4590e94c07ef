import { type DataType, elementCount, setOwn, type Tensor } from '../contracts/tensor.js'
import { type BinaryReader, decodeBinary } from './binary.js'
import { datatypes, dtypeOf } from './datatypes.js'
import { type Issues, isObject, quoted } from './issues.js'
import type { NumberList } from './number-lists.js'
import { numbersOf } from './numbers.js'
import { isShape, MAX_RANK } from './shape.js'
import { decodeValues, hasLossy } from './values.js'

/** What is being read, for messages, and what of JSON's values stands for what JSON lacks. */
export interface ListReading {
  readonly at: 'inputs' | 'outputs'
  readonly issues: Issues
  readonly nullIsNaN: boolean
  readonly infinite: boolean
  /** The bytes behind the JSON. */
  readonly binary: BinaryReader
  /** Lists of numbers that were taken out of the JSON; `data` is then the place of one of them. */
  readonly lists?: readonly NumberList[]
  /** The list again, with its long integers as strings of digits. */
  readonly exact: () => unknown
}

/** The extension's parameter of a tensor that is in binary. */
const SIZE = 'binary_data_size'

/** Tensors by name from a JSON list of them, each narrowed; what is wrong goes to `issues`. */
export function decodeTensorList(list: unknown, reading: ListReading): Record<string, Tensor> {
  const { at, issues } = reading
  const tensors: Record<string, Tensor> = {}
  const names = new Set<string>()
  if (!Array.isArray(list) || list.length === 0) issues.add(`${at}: must be a list of at least one tensor`)
  else
    for (let i = 0; i < list.length; i++) {
      const item: unknown = list[i]
      if (!isObject(item)) {
        issues.add(`${at}.${i}: must be an object`)
        continue
      }
      const { name } = item
      if (typeof name !== 'string' || name === '') issues.add(`${at}.${i}.name: must be a string`)
      else if (names.has(name)) issues.add(`${at}.${i}.name: ${quoted(name)} is given twice`)
      else names.add(name)
      const tensor = decodeTensor(item, i, reading)
      if (tensor && typeof name === 'string') setOwn(tensors, name, tensor)
    }
  if (reading.binary.left > 0) issues.add(`${at}: ${reading.binary.left} bytes behind the JSON belong to none of them`)
  return tensors
}

function decodeTensor(item: Readonly<Record<string, unknown>>, i: number, reading: ListReading): Tensor | undefined {
  const { datatype, shape, data, parameters } = item
  const { issues } = reading
  const at = `${reading.at}.${i}`
  const dtype = dtypeOf(datatype)
  if (!dtype) issues.add(`${at}.datatype: must be one of ${datatypes.join(', ')}`)
  const shaped = isShape(shape)
  if (!shaped) issues.add(`${at}.shape: must be a list of at most ${MAX_RANK} whole numbers from 0`)
  const parameter = parametersOf(parameters, at, issues)
  if (parameter.shared_memory_region !== undefined)
    issues.add(`${at}.parameters.shared_memory_region: shared memory is not supported`)
  const size = parameter[SIZE]
  const list = typeof data === 'number' && size === undefined ? reading.lists?.[data] : undefined
  if (list) return dtype && shaped ? fromList(dtype, shape, list, at, issues) : undefined
  const bytes = size === undefined ? undefined : takeBytes(size, data, at, reading)
  if (size === undefined && !Array.isArray(data)) issues.add(`${at}.data: must be a list`)
  if (!dtype || !shaped) return undefined
  const values = bytes
    ? decodeBinary(dtype, shape, bytes, `${at}.parameters.${SIZE}`, issues)
    : Array.isArray(data) && size === undefined
      ? decodeData(dtype, shape, data, i, reading)
      : undefined
  // The values' array is made from the type; the compiler cannot follow one key through both.
  return values === undefined ? undefined : ({ dtype, shape: shape.slice(), data: values } as Tensor)
}

function fromList(
  dtype: DataType,
  shape: readonly number[],
  list: NumberList,
  at: string,
  issues: Issues,
): Tensor | undefined {
  const { dims, values } = list
  const fits = dims.length === 1 ? values.length === elementCount(shape) : dims.join() === shape.join()
  const data = fits ? numbersOf(dtype, list) : undefined
  if (data === undefined) issues.add(`${at}.data: is read as a whole`)
  return data && ({ dtype, shape, data } as Tensor)
}

/** The parameters of a tensor, an output or a request; empty if there are none, or if they are no object. */
export function parametersOf(parameters: unknown, at: string, issues: Issues): Readonly<Record<string, unknown>> {
  if (isObject(parameters)) return parameters
  if (parameters !== undefined) issues.add(`${at === '' ? '' : `${at}.`}parameters: must be an object`)
  return {}
}

/** A tensor's own bytes. Taken whatever else is wrong with it, so that what is said of the next ones is right. */
function takeBytes(size: unknown, data: unknown, at: string, { binary, issues }: ListReading): Uint8Array | undefined {
  const field = `${at}.parameters.${SIZE}`
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    issues.add(`${field}: must be a whole number of bytes from 0`)
    return undefined
  }
  if (data !== undefined) issues.add(`${at}.data: must not be given beside ${SIZE}`)
  const { left } = binary
  const bytes = binary.take(size)
  if (bytes === undefined) issues.add(`${field}: is ${size}, of the bytes behind the JSON ${left} are left`)
  return data === undefined ? bytes : undefined
}

/** The values of a tensor from its `data` in JSON, flat or nested. */
function decodeData(
  dtype: DataType,
  shape: readonly number[],
  data: readonly unknown[],
  i: number,
  reading: ListReading,
): Tensor['data'] | undefined {
  const { issues, nullIsNaN, infinite, exact } = reading
  const at = `${reading.at}.${i}.data`
  const flatOf = (list: readonly unknown[]) => (Array.isArray(list[0]) ? flatten(list, shape, at, issues) : list)
  let flat = flatOf(data)
  if (!flat) return undefined
  const count = elementCount(shape)
  if (flat.length !== count) {
    issues.add(`${at}: has ${flat.length} values, shape [${shape.join(', ')}] needs ${count}`)
    return undefined
  }
  if ((dtype === 'int64' || dtype === 'uint64') && hasLossy(flat)) {
    // The same text was read again, so the same list is in the same place.
    const list = exact() as { readonly data: readonly unknown[] }[]
    flat = flatOf(list[i]!.data)!
  }
  return decodeValues(dtype, flat, { at, issues, nullIsNaN, infinite })
}

/** Nested lists to one list; each level must be as long as the shape says. */
function flatten(
  data: readonly unknown[],
  shape: readonly number[],
  at: string,
  issues: Issues,
): readonly unknown[] | undefined {
  const needs = `shape [${shape.join(', ')}] needs`
  if (data.length !== shape[0]) {
    issues.add(`${at}: has ${data.length} rows, ${needs} ${shape[0] ?? 'one value'}`)
    return undefined
  }
  let level = data
  for (let axis = 1; axis < shape.length; axis++) {
    const next: unknown[] = []
    for (let i = 0; i < level.length; i++) {
      const row = level[i]
      if (!Array.isArray(row) || row.length !== shape[axis]) {
        const has = Array.isArray(row) ? `${row.length} values` : 'a value that is no list'
        issues.add(`${at}: item ${i} at depth ${axis} has ${has}, ${needs} ${shape[axis]}`)
        return undefined
      }
      for (let j = 0; j < row.length; j++) next.push(row[j])
    }
    level = next
  }
  return level
}
