import { type Cell, type ColumnKind, openRows, parquetFile, type WrittenColumn } from '@tideway/data-files'
import type { AnswerRow } from './output.js'

/** A form in which answers are written. */
export interface Format {
  /** How a part's name ends. */
  readonly extension: string
  /** Rows as the bytes of a part. */
  part(columns: readonly WrittenColumn[], rows: readonly AnswerRow[]): Promise<Uint8Array>
  /** Puts parts together, the same bytes however the rows were shared out among them. */
  join(columns: readonly WrittenColumn[], parts: readonly string[], sink: Sink): Promise<void>
}

export interface Sink {
  write(bytes: Uint8Array): Promise<void>
  /** Appends a file as it is. */
  append(file: string): Promise<void>
}

const utf8 = new TextEncoder()
/** Cells of a row group: some megabytes, whatever the number of columns. */
const GROUP_CELLS = 2 ** 20
const MAX_GROUP_ROWS = 2 ** 16

const csv: Format = {
  extension: '.csv',
  part: async (columns, rows) => utf8.encode(rows.map((row) => csvLine(row, columns)).join('')),
  async join(columns, parts, sink) {
    await sink.write(utf8.encode(`${columns.map(({ name }) => quoted(name)).join(',')}\n`))
    for (const part of parts) await sink.append(part)
  },
}

const jsonl: Format = {
  extension: '.jsonl',
  async part(columns, rows) {
    const keys = columns.map(({ name }) => `${JSON.stringify(name)}:`)
    const line = (row: AnswerRow) =>
      `{${row.map((cell, at) => keys[at] + jsonText(cell, columns[at]?.kind)).join(',')}}\n`
    return utf8.encode(rows.map(line).join(''))
  },
  async join(_, parts, sink) {
    for (const part of parts) await sink.append(part)
  },
}

const parquet: Format = {
  extension: '.parquet',
  async part(columns, rows) {
    const pieces: Uint8Array[] = []
    const file = parquetFile(columns, (bytes) => pieces.push(bytes))
    await file.add(columns.map((_, at) => rows.map((row) => row[at])))
    await file.finish()
    return Buffer.concat(pieces)
  },
  async join(columns, parts, sink) {
    const file = parquetFile(columns, (bytes) => sink.write(bytes))
    const groupRows = Math.max(1, Math.min(MAX_GROUP_ROWS, Math.floor(GROUP_CELLS / columns.length)))
    let group = columns.map((): Cell[] => [])
    const flush = async () => {
      await file.add(group)
      group = columns.map(() => [])
    }
    for (const part of parts)
      for await (const { rows } of (await openRows(part)).read())
        for (const { cells } of rows) {
          for (const [at, column] of group.entries()) column.push(cells[at])
          if (group[0]?.length === groupRows) await flush()
        }
    if ((group[0]?.length ?? 0) > 0) await flush()
    await file.finish()
  },
}

/** By how the name of the output ends. */
export const FORMATS: Readonly<Record<string, Format>> = {
  '.csv': csv,
  '.jsonl': jsonl,
  '.ndjson': jsonl,
  '.parquet': parquet,
}

function csvLine(row: AnswerRow, columns: readonly WrittenColumn[]): string {
  return `${row.map((cell, at) => quoted(text(cell, columns[at]?.kind))).join(',')}\n`
}

/** RFC 4180: quoted where it has to be. */
function quoted(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field
}

function text(cell: Cell, kind: ColumnKind | undefined): string {
  if (cell === null || cell === undefined) return ''
  if (cell instanceof Date) return cell.toISOString()
  return kind === 'float' ? floatText(cell as number) : String(cell)
}

/** JSON has no NaN and no infinities: null. */
function jsonText(cell: Cell, kind: ColumnKind | undefined): string {
  if (cell === null || cell === undefined) return 'null'
  if (typeof cell === 'number')
    return Number.isFinite(cell) ? (kind === 'float' ? floatText(cell) : String(cell)) : 'null'
  if (typeof cell === 'bigint' || typeof cell === 'boolean') return String(cell)
  return JSON.stringify(text(cell, kind))
}

/** The shortest digits that are read as the same float32: those of the double that it is would be twice as many. */
function floatText(value: number): string {
  const whole = String(value)
  if (whole.length <= 8) return whole
  for (const digits of [7, 8]) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return String(short)
  }
  return String(Number(value.toPrecision(9)))
}
