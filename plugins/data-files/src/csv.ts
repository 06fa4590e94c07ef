import { Readable } from 'node:stream'
import { type ColumnsConfig, resolveColumns } from '@tideway/core'
import { type CsvErrorCode, parse } from 'csv-parse'
import { fileBytes, type Refuse } from './bytes.js'
import type { NumberFormat } from './cells.js'
import { errors } from './errors.js'
import { type DataLimits, Limiter } from './limits.js'
import { type Table, TableBuilder } from './table.js'

export interface CsvOptions {
  readonly schema: ColumnsConfig
  /** `true`: the first row names the columns. Otherwise their names, for a file without such a row. Default true. */
  readonly header?: true | readonly string[]
  /** One character; default `,`. */
  readonly delimiter?: string
  /** How numbers are written; default `1234.5`. */
  readonly numbers?: NumberFormat
  /** Only utf-8, with or without a byte order mark; anything else is refused by name. */
  readonly encoding?: string
  readonly limits?: Partial<DataLimits>
}

/**
 * Reads a CSV (RFC 4180, any line ends) as a stream; columns outside of the schema are read past. Throws `CSV_INVALID`
 * naming the first bad values by line, column and kind, and counting all; `DATA_LIMIT_EXCEEDED`; `INPUT_REJECTED` for a
 * schema that is not valid. Broken quotes end reading in any case: where the next row begins is then not known.
 *
 * @example
 * const table = await readCsv('pumps.csv', {
 *   schema: { columns: { temperature: { type: 'number', max: 85 }, state: { type: 'category', role: 'target' } }, onBadRow: 'drop' },
 *   delimiter: ';',
 *   numbers: { decimal: ',' },
 * })
 * table.report.dropped // rows left out, by column and kind in table.report.bad
 */
export async function readCsv(path: string, options: CsvOptions): Promise<Table> {
  const schema = resolveColumns(options.schema)
  const limiter = new Limiter(path, options.limits)
  const refuse = (...issues: string[]) => errors.CSV_INVALID({ file: path, issues })
  const { encoding = 'utf-8', delimiter = ',', header = true } = options
  if (!/^utf-?8$/i.test(encoding)) throw refuse(`encoding ${encoding} is not read: convert the file to utf-8`)
  const builder = new TableBuilder(schema, limiter, options.numbers)
  const parser = parse({
    bom: true,
    delimiter,
    info: true,
    record_delimiter: ['\r\n', '\n', '\r'],
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: limiter.get('maxRecordBytes'),
  })
  const source = Readable.from(checkedText(path, limiter))
  source.once('error', (error) => parser.destroy(error))
  const rows = source.pipe(parser) as AsyncIterable<{ info: { lines: number }; record: string[] }>
  let places = header === true ? undefined : placesOf(header, builder.names, refuse)
  let width = header === true ? 0 : header.length
  let [before, pairs] = [0, 0]
  try {
    for await (const { info, record } of rows) {
      // The parser counts \r\n inside of quotes as two lines; only a row that took several lines is looked at.
      if (info.lines > before + 1) pairs += lineEnds(record, /\r\n/g)
      before = info.lines
      if (places === undefined) {
        limiter.check('maxColumns', record.length)
        places = placesOf(record, builder.names, refuse)
        width = record.length
        continue
      }
      const at = places
      // The parser tells the line that a row ends in; a row with line ends inside of quotes began earlier.
      const where = () => `line ${info.lines - pairs - lineEnds(record, /\r\n|\n|\r/g)}`
      if (record.length === width) builder.add(where, (place) => record[at[place] ?? -1])
      else builder.refuse(where(), record.length < width ? 'too few fields' : 'too many fields', `${width} fields`)
    }
  } catch (error) {
    throw csvFailure(error, limiter, refuse)
  } finally {
    source.destroy()
  }
  if (places === undefined) throw refuse('the file is empty')
  return builder.finish((problem) => errors.CSV_INVALID(problem))
}

/**
 * Where in a row the wanted columns are. Names that the schema does not have are told by place: in a file without a
 * header they would be values.
 */
function placesOf(
  header: readonly string[],
  wanted: readonly string[],
  refuse: (...issues: string[]) => Error,
): number[] {
  const names = header.map((name) => name.trim())
  const issues = wanted.filter((name) => !names.includes(name)).map((name) => `column ${name} is missing`)
  const first = new Map<string, number>()
  for (const [at, name] of names.entries()) {
    const before = first.get(name)
    if (before === undefined) first.set(name, at)
    else if (issues.length < 20)
      issues.push(
        `the header has one name twice, in fields ${before + 1} and ${at + 1}${wanted.includes(name) ? `: ${name}` : ''}`,
      )
  }
  if (issues.length > 0) throw refuse(...issues)
  return wanted.map((name) => first.get(name) ?? -1)
}

const lineEnds = (record: readonly string[], ends: RegExp) =>
  record.reduce((count, field) => count + (field.match(ends)?.length ?? 0), 0)

/** The file's bytes, which must be UTF-8; the line that is not is named. */
async function* checkedText(path: string, limiter: Limiter): AsyncGenerator<Buffer> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let lines = 1
  const refuse: Refuse = (issue, cause) => errors.CSV_INVALID({ file: path, issues: [issue] }, cause)
  let first = true
  for await (const chunk of fileBytes(path, limiter, refuse)) {
    if (first && ((chunk[0] === 0xff && chunk[1] === 0xfe) || (chunk[0] === 0xfe && chunk[1] === 0xff)))
      throw refuse('encoding utf-16 is not read: convert the file to utf-8')
    first = false
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

function csvFailure(error: unknown, limiter: Limiter, refuse: (...issues: string[]) => Error): unknown {
  if (!(error instanceof Error) || !('code' in error) || !('lines' in error)) return error
  const line = `line ${Number(error.lines)}`
  if (error.code !== 'CSV_MAX_RECORD_SIZE')
    return refuse(`${line}: ${REASONS[error.code as CsvErrorCode] ?? 'not CSV'}`)
  const allowed = limiter.get('maxRecordBytes')
  return errors.DATA_LIMIT_EXCEEDED({
    file: `${limiter.file}, ${line}`,
    limit: 'maxRecordBytes',
    value: allowed + 1,
    allowed,
  })
}
