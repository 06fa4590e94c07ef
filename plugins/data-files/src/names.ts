import { extname } from 'node:path'
import { Readable } from 'node:stream'
import { codeOf } from '@tideway/core'
import { parse } from 'csv-parse'
import { asyncBufferFromFile, parquetMetadataAsync, parquetSchema } from 'hyparquet'
import { fileBytes, fileSize } from './bytes.js'
import { errors } from './errors.js'
import { type DataLimits, Limiter } from './limits.js'

/**
 * The names of a table's columns in the file's order: a CSV's first row, or a `.parquet` file's schema. For schemas that
 * are made from what is there. Throws `CSV_INVALID`, `PARQUET_INVALID`, `DATA_LIMIT_EXCEEDED`.
 *
 * @example
 * const [target = '', ...features] = (await readColumnNames('pumps.csv')).reverse()
 */
export async function readColumnNames(
  path: string,
  options: { readonly limits?: Partial<DataLimits> } = {},
): Promise<string[]> {
  const limiter = new Limiter(path, options.limits)
  const names = await (extname(path).toLowerCase() === '.parquet' ? ofParquet(path, limiter) : ofCsv(path, limiter))
  limiter.check('maxColumns', names.length)
  return names
}

async function ofParquet(path: string, limiter: Limiter): Promise<string[]> {
  const refuse = (issue: string, cause?: unknown) => errors.PARQUET_INVALID({ file: path, issues: [issue] }, cause)
  const size = await fileSize(path, limiter, refuse)
  if (size < 12) throw refuse('it is shorter than any Parquet file')
  try {
    const metadata = await parquetMetadataAsync(await asyncBufferFromFile(path), { geoparquet: false })
    return parquetSchema(metadata).children.map(({ element }) => element.name)
  } catch (cause) {
    throw refuse('it is broken: it cannot be decoded', cause)
  }
}

async function ofCsv(path: string, limiter: Limiter): Promise<string[]> {
  const refuse = (issue: string, cause?: unknown) => errors.CSV_INVALID({ file: path, issues: [issue] }, cause)
  const parser = parse({
    bom: true,
    record_delimiter: ['\r\n', '\n', '\r'],
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: limiter.get('maxRecordBytes'),
  })
  const source = Readable.from(fileBytes(path, limiter, refuse))
  source.once('error', (error) => parser.destroy(error))
  try {
    for await (const record of source.pipe(parser) as AsyncIterable<string[]>) return record.map((name) => name.trim())
  } catch (error) {
    // csv-parse's errors carry the row itself: they are not kept as the cause.
    throw codeOf(error) === undefined ? refuse('line 1: not CSV') : error
  } finally {
    source.destroy()
  }
  throw refuse('the file is empty')
}
