import { type ColumnsConfig, resolveColumns } from '@tideway/core'
import type { NumberFormat } from './cells.js'
import { csvRecords } from './csv-records.js'
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
  let places = header === true ? undefined : placesOf(header, builder.names, refuse)
  let width = header === true ? 0 : header.length
  for await (const { line, fields } of csvRecords(path, limiter, { delimiter })) {
    if (places === undefined) {
      limiter.check('maxColumns', fields.length)
      places = placesOf(fields, builder.names, refuse)
      width = fields.length
      continue
    }
    const at = places
    const where = () => `line ${line}`
    if (fields.length === width) builder.add(where, (place) => fields[at[place] ?? -1])
    else builder.refuse(where(), fields.length < width ? 'too few fields' : 'too many fields', `${width} fields`)
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
