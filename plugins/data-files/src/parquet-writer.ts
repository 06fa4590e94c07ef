import { ByteWriter, ParquetWriter, type SchemaElement, schemaFromColumnData } from 'hyparquet-writer'
import type { Cell } from './cells.js'
import type { ColumnKind } from './rows.js'

export interface WrittenColumn {
  readonly name: string
  readonly kind: ColumnKind
}

const TYPES = {
  text: 'STRING',
  double: 'DOUBLE',
  float: 'FLOAT',
  integer: 'INT64',
  boolean: 'BOOLEAN',
  time: 'TIMESTAMP',
} as const

/** A Parquet file that is written one row group at a time; memory holds one group. */
export interface ParquetFile {
  /** A row group: the values of each column, as many of each. */
  add(columns: readonly (readonly Cell[])[]): Promise<void>
  /** Writes what stands behind the rows. */
  finish(): Promise<void>
}

/**
 * Writes Parquet with flat columns, each of which may have nulls, compressed with Snappy. The same values in the same groups
 * give the same bytes.
 *
 * @example
 * const file = parquetFile([{ name: 'id', kind: 'text' }], (bytes) => handle.write(bytes))
 * await file.add([['a', 'b']])
 * await file.finish()
 */
export function parquetFile(columns: readonly WrittenColumn[], write: (bytes: Uint8Array) => unknown): ParquetFile {
  const schema: SchemaElement[] = schemaFromColumnData({
    columnData: columns.map(({ name, kind }) => ({ name, data: [], type: TYPES[kind] })),
  })
  const bytes = new ByteWriter()
  const writer = new ParquetWriter({ writer: bytes, schema, createdBy: 'tideway' })
  const flush = async () => {
    // The writer goes on counting from the beginning of the file: only what it holds is taken away.
    await write(new Uint8Array(bytes.buffer, 0, bytes.index).slice())
    bytes.index = 0
  }
  return {
    async add(values) {
      const columnData = columns.map(({ name, kind }, at) => ({ name, data: (values[at] ?? []).map(CASTS[kind]) }))
      const rows = values[0]?.length ?? 0
      if (rows > 0) await writer.write({ columnData, rowGroupSize: rows })
      await flush()
    },
    async finish() {
      await writer.finish()
      if (bytes.index > 0) await flush()
    },
  }
}

const present =
  <T>(cast: (cell: NonNullable<Cell>) => T) =>
  (cell: Cell): T | null =>
    cell === null || cell === undefined ? null : cast(cell)

const CASTS: Record<ColumnKind, (cell: Cell) => unknown> = {
  text: present((cell) => (cell instanceof Date ? cell.toISOString() : String(cell))),
  double: present(Number),
  float: present(Number),
  integer: present((cell) => BigInt(cell as bigint)),
  boolean: present(Boolean),
  time: present((cell) => (cell instanceof Date ? cell : new Date(String(cell)))),
}
