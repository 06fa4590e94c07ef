import type { CategoryColumn, Column, NumberColumn, TimeColumn } from '@tideway/core'

/** A value as a file gives it; of other objects, such as bytes, only the kind matters. */
export type Cell = string | number | bigint | boolean | Date | null | undefined

/** A cell as a number: NaN for missing, the index of a category; or the kind of what breaks the schema. */
export type CellResult = number | { readonly kind: string }

/** Reads the cells of one column. */
export interface CellReader {
  read(cell: Cell): CellResult
  /** What a value must be, for messages. */
  readonly must: string
  /** The vocabulary so far, of a category. */
  readonly values?: readonly string[]
}

/** How numbers are written in text. */
export interface NumberFormat {
  /** Default `.`. */
  readonly decimal?: '.' | ','
  /** What stands between thousands; none by default. */
  readonly thousands?: '.' | ',' | ' ' | "'"
}

const UNIT_MS = { seconds: 1000, minutes: 60_000, hours: 3_600_000, days: 86_400_000 } as const
const MOST_CATEGORIES = 65_536
const LONGEST_CATEGORY = 256
const PLAIN_NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i
// A time without a zone is in UTC: what a file means must not depend on the machine that reads it.
const TIME = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/

/** The reader of a column. Numbers in text are plain decimals: hexadecimal, `Infinity` and the like are text. */
export function cellReader(column: Column, format: NumberFormat = {}): CellReader {
  const missing = new Set(column.missing.map((text) => text.trim()))
  const optional = column.impute !== 'none'
  const read = valueReader(column, format)
  return {
    must: read.must,
    values: read.values,
    read: (cell) => {
      const text = typeof cell === 'string' ? cell.trim() : cell
      const absent =
        text === null || text === undefined || (typeof text === 'string' && missing.has(text)) || Number.isNaN(text)
      if (!absent) return read.read(text)
      return optional ? Number.NaN : { kind: text === '' ? 'empty' : 'missing' }
    },
  }
}

type Present = Exclude<Cell, null | undefined>
type ValueReader = Omit<CellReader, 'read'> & { read(cell: Present): CellResult }

function valueReader(column: Column, format: NumberFormat): ValueReader {
  if (column.type === 'number') return numberReader(column, numberIn(format))
  return column.type === 'time' ? timeReader(column) : categoryReader(column)
}

const numberIn = ({ decimal = '.', thousands }: NumberFormat) => {
  const grouped = thousands === undefined ? undefined : new RegExp(`^[+-]?\\d{1,3}(\\${thousands}\\d{3})+(?!\\d)`)
  return (text: string): number => {
    let plain = thousands !== undefined && grouped?.test(text) === true ? text.replaceAll(thousands, '') : text
    if (decimal === ',') plain = plain.includes('.') ? '' : plain.replace(',', '.')
    return PLAIN_NUMBER.test(plain) ? Number(plain) : Number.NaN
  }
}

function numberReader({ min, max, unit }: NumberColumn, parse: (text: string) => number): ValueReader {
  const range = rangeOf(min, max, unit)
  return {
    must: `a number${range}`,
    read: (cell) => {
      const value = typeof cell === 'string' ? parse(cell) : typeof cell === 'object' ? Number.NaN : Number(cell)
      if (!Number.isFinite(value)) return { kind: kindOf(cell) }
      // float32 is what the model takes: a value beyond it would arrive as infinity.
      if (!Number.isFinite(Math.fround(value))) return { kind: 'a number out of range' }
      return value < (min ?? -Infinity) || value > (max ?? Infinity) ? { kind: 'a number out of range' } : value
    },
  }
}

function timeReader({ origin, unit, min, max }: TimeColumn): ValueReader {
  const [zero, low, high] = [origin, min ?? '', max ?? ''].map((time) => Date.parse(time)) as [number, number, number]
  return {
    must: `a time in ISO 8601${rangeOf(min, max)}`,
    read: (cell) => {
      const time = cell instanceof Date ? cell.getTime() : typeof cell === 'string' ? timeOf(cell) : Number.NaN
      if (Number.isNaN(time)) return { kind: kindOf(cell) }
      return time < low || time > high ? { kind: 'a time out of range' } : (time - zero) / UNIT_MS[unit]
    },
  }
}

function timeOf(text: string): number {
  const match = TIME.exec(text)
  if (match === null) return Number.NaN
  const time = Date.parse(`${text.replace(' ', 'T')}${match[1] === undefined && text.length > 10 ? 'Z' : ''}`)
  // 30 February is read as 1 March by some engines: the day must come out again.
  const day = Date.parse(text.slice(0, 10))
  return Number.isNaN(day) || new Date(day).toISOString().slice(0, 10) !== text.slice(0, 10) ? Number.NaN : time
}

function categoryReader({ values, unknown }: CategoryColumn): ValueReader {
  const known = [...(values ?? [])]
  const index = new Map(known.map((value, at) => [value, at]))
  return {
    must: values === undefined ? `a category of at most ${LONGEST_CATEGORY} characters` : oneOf(known),
    values: known,
    read: (cell) => {
      if (typeof cell === 'object') return { kind: kindOf(cell) }
      const text = String(cell)
      const at = index.get(text)
      if (at !== undefined) return at
      if (values !== undefined) return unknown === 'other' ? -1 : { kind: kindOf(cell) }
      if (text.length > LONGEST_CATEGORY) return { kind: kindOf(cell) }
      if (known.length >= MOST_CATEGORIES) return { kind: `more than ${MOST_CATEGORIES} categories` }
      index.set(text, known.length)
      return known.push(text) - 1
    },
  }
}

const oneOf = (values: readonly string[]) =>
  values.length > 6
    ? `one of ${values.length} categories`
    : [values.slice(0, -1).join(', '), values.at(-1)].filter((part) => part !== '').join(' or ')

function rangeOf(min: number | string | undefined, max: number | string | undefined, unit?: string): string {
  if (min === undefined && max === undefined) return ''
  const of = unit === undefined ? '' : ` ${unit}`
  if (min === undefined) return ` of at most ${max}${of}`
  return max === undefined ? ` of at least ${min}${of}` : ` from ${min} to ${max}${of}`
}

/** The kind of a value, which unlike the value itself may stand in an error. */
function kindOf(cell: Present | object): string {
  if (cell instanceof Date) return 'a time'
  if (typeof cell === 'boolean') return 'true or false'
  if (typeof cell === 'object') return 'bytes or a structure'
  if (typeof cell !== 'string') return 'a number'
  if (cell === '') return 'empty'
  return PLAIN_NUMBER.test(cell) ? 'a number' : 'text'
}
