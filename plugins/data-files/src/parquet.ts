import { type ColumnsConfig, codeOf, resolveColumns } from '@tideway/core'
import {
  type AsyncBuffer,
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetRead,
  parquetSchema,
  type RowGroup,
} from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { fileSize } from './bytes.js'
import type { Cell } from './cells.js'
import { errors } from './errors.js'
import { type DataLimits, Limiter } from './limits.js'
import { checkPages } from './parquet-pages.js'
import { type Table, TableBuilder } from './table.js'

export interface ParquetOptions {
  readonly schema: ColumnsConfig
  readonly limits?: Partial<DataLimits>
}

export type Problem = (issues: readonly string[], cause?: unknown) => Error

/**
 * Reads flat columns of a Parquet file, one row group at a time, with any of the format's compressions; columns outside
 * of the schema are not read. Throws `PARQUET_INVALID` naming the first bad values by row (from 1), column and kind;
 * `DATA_LIMIT_EXCEEDED`; `INPUT_REJECTED` for a schema that is not valid.
 *
 * @example
 * const table = await readParquet('pumps.parquet', {
 *   schema: { columns: { temperature: { type: 'number', impute: 'median' }, state: { type: 'category', role: 'target' } } },
 * })
 */
export async function readParquet(path: string, options: ParquetOptions): Promise<Table> {
  const schema = resolveColumns(options.schema)
  const limiter = new Limiter(path, options.limits)
  const problem: Problem = (issues, cause) => errors.PARQUET_INVALID({ file: path, issues }, cause)
  const size = await fileSize(path, limiter, (issue, cause) => problem([issue], cause))
  if (size < 12) throw problem(['it is shorter than any Parquet file'])
  const builder = new TableBuilder(schema, limiter)
  try {
    const file = await asyncBufferFromFile(path)
    const metadata = await parquetMetadataAsync(file, { geoparquet: false })
    checkColumns(metadata, builder.names, limiter, problem)
    await addGroups(file, metadata, builder, limiter, problem)
  } catch (error) {
    throw codeOf(error) === undefined ? problem(['it is broken: it cannot be decoded'], error) : error
  }
  return builder.finish((found) => errors.PARQUET_INVALID(found))
}

export function checkColumns(
  metadata: FileMetaData,
  wanted: readonly string[],
  limiter: Limiter,
  problem: Problem,
): void {
  limiter.check('maxRows', Number(metadata.num_rows))
  const { children } = parquetSchema(metadata)
  limiter.check('maxColumns', children.length)
  const issues = wanted.flatMap((name) => {
    const found = children.filter(({ element }) => element.name === name)
    const [first] = found
    if (first === undefined) return [`column ${name} is missing`]
    if (found.length > 1) return [`column ${name} is there ${found.length} times`]
    const flat = first.children.length === 0 && first.element.repetition_type !== 'REPEATED'
    return flat ? [] : [`column ${name} holds lists or structures, not one value a row`]
  })
  if (issues.length > 0) throw problem(issues)
}

async function addGroups(
  file: AsyncBuffer,
  metadata: FileMetaData,
  builder: TableBuilder,
  limiter: Limiter,
  problem: Problem,
): Promise<void> {
  for await (const { start, rows, columns } of parquetGroups(file, metadata, builder.names, limiter, problem)) {
    limiter.check('maxRows', start + rows)
    for (let row = 0; row < rows; row++)
      builder.add(
        () => `row ${start + row + 1}`,
        (place) => columns[place]?.[row],
      )
  }
}

/** One row group: its columns in the order in which they were asked for. */
export interface ParquetGroup {
  /** Rows before it. */
  readonly start: number
  readonly rows: number
  readonly columns: readonly (readonly Cell[])[]
}

/** The wanted columns, one row group at a time; groups that lie within the first `skip` rows are not read. */
export async function* parquetGroups(
  file: AsyncBuffer,
  metadata: FileMetaData,
  names: readonly string[],
  limiter: Limiter,
  problem: Problem,
  skip = 0,
): AsyncGenerator<ParquetGroup> {
  const { children } = parquetSchema(metadata)
  const optional = (column: string) =>
    children.some(({ element }) => element.name === column && element.repetition_type !== 'REQUIRED')
  let start = 0
  for (const group of metadata.row_groups) {
    const rows = Number(group.num_rows)
    if (start + rows > skip) {
      limiter.check('maxDecodedBytes', rows * names.length * 8)
      await checkPages(file, columnsOfGroup(group, names), optional, rows, limiter, (issue) => problem([issue]))
      const columns = await readGroup(file, metadata, names, start, rows)
      for (const [place, cells] of columns.entries())
        if (cells.length !== rows)
          throw problem([`column ${names[place]}: ${cells.length} values in a row group of ${rows} rows`])
      yield { start, rows, columns }
    }
    start += rows
  }
}

const columnsOfGroup = (group: RowGroup, names: readonly string[]) =>
  group.columns.filter(({ meta_data: meta }) => names.includes(meta?.path_in_schema[0] ?? ''))

/** The wanted columns of one row group. */
async function readGroup(
  file: AsyncBuffer,
  metadata: FileMetaData,
  names: readonly string[],
  start: number,
  rows: number,
): Promise<Cell[][]> {
  const columns: Cell[][] = names.map(() => [])
  await parquetRead({
    file,
    metadata,
    columns: [...names],
    rowStart: start,
    rowEnd: start + rows,
    compressors,
    geoparquet: false,
    onChunk: ({ columnName, columnData }) => {
      const column = columns[names.indexOf(columnName)]
      for (const cell of columnData as ArrayLike<Cell> & Iterable<Cell>) column?.push(cell)
    },
  })
  return columns
}
