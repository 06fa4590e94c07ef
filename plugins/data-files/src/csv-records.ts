import { Readable } from 'node:stream'
import { type CsvErrorCode, parse } from 'csv-parse'
import { fileBytes, type Refuse } from './bytes.js'
import { errors } from './errors.js'
import type { Limiter } from './limits.js'

/** A record of a CSV file, and the line that it begins in, from 1. */
export interface CsvRecord {
  readonly line: number
  readonly fields: string[]
}

export interface CsvRecordsOptions {
  readonly delimiter: string
  /** Told of each piece of the file that was read. */
  readonly onBytes?: (bytes: number) => void
}

/**
 * The records of a CSV (RFC 4180, any line ends, UTF-8) as a stream. Throws `CSV_INVALID` where it is not clear where the next
 * record begins, `DATA_LIMIT_EXCEEDED`.
 */
export async function* csvRecords(
  path: string,
  limiter: Limiter,
  { delimiter, onBytes = () => undefined }: CsvRecordsOptions,
): AsyncGenerator<CsvRecord> {
  const parser = parse({
    bom: true,
    delimiter,
    info: true,
    record_delimiter: ['\r\n', '\n', '\r'],
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: limiter.get('maxRecordBytes'),
  })
  const source = Readable.from(checkedText(path, limiter, onBytes))
  source.once('error', (error) => parser.destroy(error))
  const records = source.pipe(parser) as AsyncIterable<{ info: { lines: number }; record: string[] }>
  let [before, pairs] = [0, 0]
  try {
    for await (const { info, record } of records) {
      // The parser tells the line that a record ends in; one with line ends inside of quotes began earlier.
      let within = 0
      if (info.lines > before + 1) {
        // It counts \r\n inside of quotes as two lines.
        pairs += lineEnds(record, /\r\n/g)
        within = lineEnds(record, /\r\n|\n|\r/g)
      }
      before = info.lines
      yield { line: info.lines - pairs - within, fields: record }
    }
  } catch (error) {
    throw csvFailure(error, limiter)
  } finally {
    source.destroy()
  }
}

const lineEnds = (record: readonly string[], ends: RegExp) =>
  record.reduce((count, field) => count + (field.match(ends)?.length ?? 0), 0)

/** The file's bytes, which must be UTF-8; the line that is not is named. */
async function* checkedText(path: string, limiter: Limiter, onBytes: (bytes: number) => void): AsyncGenerator<Buffer> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let lines = 1
  const refuse: Refuse = (issue, cause) => errors.CSV_INVALID({ file: path, issues: [issue] }, cause)
  let first = true
  for await (const chunk of fileBytes(path, limiter, refuse)) {
    if (first && ((chunk[0] === 0xff && chunk[1] === 0xfe) || (chunk[0] === 0xfe && chunk[1] === 0xff)))
      throw refuse('encoding utf-16 is not read: convert the file to utf-8')
    first = false
    onBytes(chunk.length)
    // Line by line, since the decoder does not say where it failed; a line end is never part of another character.
    for (let from = 0; from < chunk.length; ) {
      const end = chunk.indexOf(10, from)
      const to = end === -1 ? chunk.length : end + 1
      try {
        decoder.decode(chunk.subarray(from, to), { stream: true })
      } catch {
        throw refuse(`line ${lines}: bytes that are not utf-8: convert the file, or correct the line`)
      }
      if (end !== -1) lines++
      from = to
    }
    yield chunk
  }
  try {
    decoder.decode()
  } catch {
    throw refuse(`line ${lines}: bytes that are not utf-8: the file ends within a character`)
  }
}

/** csv-parse's errors carry the row itself: they are told by code and line, and not kept as the cause. */
const REASONS: Partial<Record<CsvErrorCode, string>> = {
  CSV_INVALID_CLOSING_QUOTE: 'a quote within a quoted field is not doubled',
  CSV_NON_TRIMABLE_CHAR_AFTER_CLOSING_QUOTE: 'text after a closing quote',
  CSV_QUOTE_NOT_CLOSED: 'a quote is not closed before the file ends',
  INVALID_OPENING_QUOTE: 'a quote within a field that does not begin with one',
}

function csvFailure(error: unknown, limiter: Limiter): unknown {
  if (!(error instanceof Error) || !('code' in error) || !('lines' in error)) return error
  const line = `line ${Number(error.lines)}`
  if (error.code !== 'CSV_MAX_RECORD_SIZE')
    return errors.CSV_INVALID({
      file: limiter.file,
      issues: [`${line}: ${REASONS[error.code as CsvErrorCode] ?? 'not CSV'}`],
    })
  const allowed = limiter.get('maxRecordBytes')
  return errors.DATA_LIMIT_EXCEEDED({
    file: `${limiter.file}, ${line}`,
    limit: 'maxRecordBytes',
    value: allowed + 1,
    allowed,
  })
}
