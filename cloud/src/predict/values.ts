import type { DataType } from '@tideway/core'
import type { Cell } from '@tideway/data-files'

/** Reads a cell as a value of an input, or says what kind it is of instead. */
export interface ValueReader {
  readonly must: string
  read(cell: Cell): { readonly value: number | bigint | string } | { readonly kind: string }
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i
const NOT_FINITE: Readonly<Record<string, number>> = {
  nan: Number.NaN,
  inf: Number.POSITIVE_INFINITY,
  infinity: Number.POSITIVE_INFINITY,
  '-inf': Number.NEGATIVE_INFINITY,
  '-infinity': Number.NEGATIVE_INFINITY,
}
const BOOLEANS: Readonly<Record<string, number>> = { true: 1, false: 0, '1': 1, '0': 0 }
const INTEGERS: Partial<Record<DataType, readonly [bigint, bigint]>> = {
  int8: [-128n, 127n],
  uint8: [0n, 255n],
  int16: [-(2n ** 15n), 2n ** 15n - 1n],
  uint16: [0n, 2n ** 16n - 1n],
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  uint32: [0n, 2n ** 32n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
}

/** How cells become elements of a type. An empty cell is never one, NaN has to be written. */
export function valueReader(dtype: DataType): ValueReader {
  if (dtype === 'string')
    return { must: 'a text', read: (cell) => (isAbsent(cell) ? missing(cell) : { value: String(cell) }) }
  if (dtype === 'bool') return { must: 'true, false, 1 or 0', read: (cell) => readBoolean(cell) }
  const range = INTEGERS[dtype]
  if (range)
    return { must: `a whole number from ${range[0]} to ${range[1]}`, read: (cell) => readInteger(cell, dtype, range) }
  return { must: 'a number', read: readNumber }
}

type Read = ReturnType<ValueReader['read']>

function readNumber(cell: Cell): Read {
  if (typeof cell === 'number') return { value: cell }
  if (typeof cell === 'bigint' || typeof cell === 'boolean') return { value: Number(cell) }
  if (typeof cell !== 'string') return missing(cell)
  const text = cell.trim()
  if (NUMBER.test(text)) return { value: Number(text) }
  const odd = NOT_FINITE[text.toLowerCase()]
  return odd === undefined ? { kind: text === '' ? 'empty' : 'text' } : { value: odd }
}

function readInteger(cell: Cell, dtype: DataType, [least, most]: readonly [bigint, bigint]): Read {
  if (isAbsent(cell)) return missing(cell)
  const text = String(cell).trim()
  if (cell instanceof Date || !/^[+-]?\d+(\.0*)?$/.test(text))
    return { kind: NUMBER.test(text) ? 'a fraction' : 'text' }
  const value = BigInt(text.replace(/\.0*$/, '').replace(/^\+/, ''))
  if (value < least || value > most) return { kind: 'a number out of range' }
  return { value: dtype === 'int64' || dtype === 'uint64' ? value : Number(value) }
}

function readBoolean(cell: Cell): Read {
  if (isAbsent(cell)) return missing(cell)
  const value = BOOLEANS[String(cell).trim().toLowerCase()]
  return value === undefined ? { kind: 'another text' } : { value }
}

function isAbsent(cell: Cell): boolean {
  return cell === null || cell === undefined || cell === ''
}

function missing(cell: Cell): { readonly kind: string } {
  if (cell === null || cell === undefined) return { kind: 'missing' }
  return { kind: cell === '' ? 'empty' : 'a time or bytes' }
}
