import { elementCount, type Tensor } from '../contracts/tensor.js'
import { datatypeOf, datatypes, dtypeOf } from './datatypes.js'
import { type Issues, isObject, quoted } from './issues.js'
import { decodeValues, encodeValues } from './values.js'

/** One tensor of the Open Inference Protocol v2 in JSON, its data flat and row-major. */
export interface JsonTensor {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly data: readonly (number | string | boolean)[]
}

/** What is being read, for messages, and whether null stands for NaN. */
export interface ListReading {
  readonly at: 'inputs' | 'outputs'
  readonly issues: Issues
  readonly nullIsNaN: boolean
}

const MAX_ELEMENTS = 2 ** 31 - 1
const MAX_RANK = 16

/** The tensor for `JSON.stringify`; 64-bit integers are strings of digits. */
export function encodeTensor(name: string, tensor: Tensor): JsonTensor {
  return { name, datatype: datatypeOf(tensor.dtype), shape: tensor.shape, data: encodeValues(tensor) }
}

/** Tensors by name from a JSON list of them, each narrowed; what is wrong goes to `issues`. */
export function decodeTensorList(list: unknown, reading: ListReading): Record<string, Tensor> {
  const { at, issues } = reading
  const tensors = new Map<string, Tensor>()
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
      const tensor = decodeTensor(item, `${at}.${i}`, reading)
      if (tensor && typeof name === 'string') tensors.set(name, tensor)
    }
  return Object.fromEntries(tensors)
}

function decodeTensor(
  { datatype, shape, data }: Readonly<Record<string, unknown>>,
  at: string,
  { issues, nullIsNaN }: ListReading,
): Tensor | undefined {
  const dtype = dtypeOf(datatype)
  if (!dtype) issues.add(`${at}.datatype: must be one of ${datatypes.join(', ')}`)
  const shaped = isShape(shape)
  if (!shaped) issues.add(`${at}.shape: must be a list of at most ${MAX_RANK} whole numbers from 0`)
  if (!Array.isArray(data)) issues.add(`${at}.data: must be a list`)
  if (!dtype || !shaped || !Array.isArray(data)) return undefined
  const flat: readonly unknown[] | undefined = Array.isArray(data[0]) ? flatten(data, shape, at, issues) : data
  if (!flat) return undefined
  const count = elementCount(shape)
  if (flat.length !== count) {
    issues.add(`${at}.data: has ${flat.length} values, shape [${shape.join(', ')}] needs ${count}`)
    return undefined
  }
  // The values' array is made from the type; the compiler cannot follow one key through both.
  return { dtype, shape, data: decodeValues(dtype, flat, { at: `${at}.data`, issues, nullIsNaN }) } as Tensor
}

function isShape(shape: unknown): shape is readonly number[] {
  if (!Array.isArray(shape) || shape.length > MAX_RANK) return false
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) return false
  return elementCount(shape as number[]) <= MAX_ELEMENTS
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
    issues.add(`${at}.data: has ${data.length} rows, ${needs} ${shape[0] ?? 'one value'}`)
    return undefined
  }
  let level = data
  for (let axis = 1; axis < shape.length; axis++) {
    const next: unknown[] = []
    for (let i = 0; i < level.length; i++) {
      const row = level[i]
      if (!Array.isArray(row) || row.length !== shape[axis]) {
        const has = Array.isArray(row) ? `${row.length} values` : 'a value that is no list'
        issues.add(`${at}.data: item ${i} at depth ${axis} has ${has}, ${needs} ${shape[axis]}`)
        return undefined
      }
      for (let j = 0; j < row.length; j++) next.push(row[j])
    }
    level = next
  }
  return level
}
