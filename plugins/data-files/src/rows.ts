import { extname } from 'node:path'
import { codeOf } from '@tideway/core'
import {
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetSchema,
  type SchemaElement,
} from 'hyparquet'
import { fileSize } from './bytes.js'
import type { Cell } from './cells.js'
import { csvRecords } from './csv-records.js'
import { errors } from './errors.js'
import { type DataLimits, Limiter } from './limits.js'
import { checkColumns, type Problem, parquetGroups } from './parquet.js'

/** What a column's values are: CSV has text alone; Parquet's other types are read as text. */
export type ColumnKind = 'text' | 'double' | 'float' | 'integer' | 'boolean' | 'time'

/** A row as it stands in a file, unchecked. */
export interface RawRow {
  /** Where it begins: a line of a CSV, a row of a Parquet file, from 1. */
  readonly place: number
  /** In the order of the columns. */
  readonly cells: readonly Cell[]
}

export interface RowBlock {
  readonly rows: readonly RawRow[]
  /** Of the file, read so far; about, in a Parquet file. */
  readonly bytesRead: number
}

/** A table that is read row by row, in memory that does not grow with the file. */
export interface RowTable {
  readonly file: string
  readonly names: readonly string[]
  readonly kinds: readonly ColumnKind[]
  /** What `place` counts. */
  readonly unit: 'line' | 'row'
  readonly bytes: number
  /** Of the file, where it says so. */
  readonly rowCount?: number
  /** All rows but the first `skip`, some at a time. May be called again. */
  read(skip?: number): AsyncGenerator<RowBlock>
}

export interface RowsOptions {
  /** Of a CSV: one character; default `,`. */
  readonly delimiter?: string
  /** Those of the whole file (`maxFileBytes`, `maxRows`) do not hold: it is never in memory as a whole. */
  readonly limits?: Partial<DataLimits>
}

const BLOCK_ROWS = 256

/**
 * Opens a CSV, or a `.parquet` file with flat columns, to read its rows as they are. Throws `CSV_INVALID`, `PARQUET_INVALID`,
 * `DATA_LIMIT_EXCEEDED`, also while it is read.
 *
 * @example
 * const table = await openRows('pumps.csv')
 * for await (const { rows } of table.read()) for (const { place, cells } of rows) console.log(place, cells)
 */
export async function openRows(path: string, options: RowsOptions = {}): Promise<RowTable> {
  const whole = { maxFileBytes: Number.POSITIVE_INFINITY, maxRows: Number.POSITIVE_INFINITY }
  const limiter = new Limiter(path, { ...options.limits, ...whole })
  return extname(path).toLowerCase() === '.parquet' ? parquetRows(path, limiter) : csvRows(path, limiter, options)
}

async function csvRows(path: string, limiter: Limiter, { delimiter = ',' }: RowsOptions): Promise<RowTable> {
  const refuse = (issue: string, cause?: unknown) => errors.CSV_INVALID({ file: path, issues: [issue] }, cause)
  const bytes = await fileSize(path, limiter, refuse)
  let names: string[] | undefined
  for await (const { fields } of csvRecords(path, limiter, { delimiter })) {
    names = fields.map((name) => name.trim())
    break
  }
  if (names === undefined) throw refuse('the file is empty')
  limiter.check('maxColumns', names.length)
  const [twice] = names.filter((name, at) => names.indexOf(name) < at)
  if (twice !== undefined) throw refuse(`the header has one name twice, in field ${names.lastIndexOf(twice) + 1}`)
  return {
    file: path,
    names,
    kinds: names.map(() => 'text'),
    unit: 'line',
    bytes,
    async *read(skip = 0) {
      let [bytesRead, seen] = [0, -1]
      let rows: RawRow[] = []
      for await (const { line, fields } of csvRecords(path, limiter, { delimiter, onBytes: (n) => (bytesRead += n) })) {
        // The first is the header.
        if (seen++ < skip) continue
        rows.push({ place: line, cells: fields })
        if (rows.length < BLOCK_ROWS) continue
        yield { rows, bytesRead }
        rows = []
      }
      yield { rows, bytesRead }
    },
  }
}

async function parquetRows(path: string, limiter: Limiter): Promise<RowTable> {
  const problem: Problem = (issues, cause) => errors.PARQUET_INVALID({ file: path, issues }, cause)
  const bytes = await fileSize(path, limiter, (issue, cause) => problem([issue], cause))
  if (bytes < 12) throw problem(['it is shorter than any Parquet file'])
  const broken = (error: unknown) =>
    codeOf(error) === undefined ? problem(['it is broken: it cannot be decoded'], error) : error
  const file = await asyncBufferFromFile(path)
  const metadata: FileMetaData = await parquetMetadataAsync(file, { geoparquet: false }).catch((error: unknown) => {
    throw broken(error)
  })
  const elements = parquetSchema(metadata).children.map(({ element }) => element)
  const names = elements.map(({ name }) => name)
  checkColumns(metadata, names, limiter, problem)
  const rowCount = Number(metadata.num_rows)
  return {
    file: path,
    names,
    kinds: elements.map(kindOf),
    unit: 'row',
    bytes,
    rowCount,
    async *read(skip = 0) {
      try {
        for await (const { start, rows, columns } of parquetGroups(file, metadata, names, limiter, problem, skip)) {
          const first = Math.max(0, skip - start)
          for (let from = first; from < rows; from += BLOCK_ROWS) {
            const until = Math.min(rows, from + BLOCK_ROWS)
            const block = Array.from({ length: until - from }, (_, at) => ({
              place: start + from + at + 1,
              cells: columns.map((column) => column[from + at]),
            }))
            yield { rows: block, bytesRead: Math.round((bytes * (start + until)) / Math.max(1, rowCount)) }
          }
        }
      } catch (error) {
        throw broken(error)
      }
    },
  }
}

function kindOf({ type, converted_type: converted, logical_type: logical }: SchemaElement): ColumnKind {
  const isTime = /^(TIMESTAMP|DATE)/.test(converted ?? logical?.type ?? '')
  if (isTime) return 'time'
  if (type === 'DOUBLE') return 'double'
  if (type === 'FLOAT') return 'float'
  if (type === 'BOOLEAN') return 'boolean'
  const isDecimal = converted === 'DECIMAL' || logical?.type === 'DECIMAL'
  if (isDecimal) return 'double'
  return type === 'INT32' || type === 'INT64' ? 'integer' : 'text'
}
