import { constants, createReadStream } from 'node:fs'
import { access } from 'node:fs/promises'
import { type Dataset, defineErrors, entry } from '@tideway/core'
import Papa from 'papaparse'

/** Columns of the data set; `class` is 1 when the price went up against the mean of the last day. */
const FEATURES = ['period', 'nswprice', 'nswdemand', 'vicprice', 'vicdemand', 'transfer'] as const
const TARGET = 'class'
const NAMED_ROWS = 10

export const { entries, errors } = defineErrors({
  CSV_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the CSV does not fit: ${d.issues.join('; ')}`,
    `It needs the numeric columns ${FEATURES.join(', ')} and ${TARGET} (0 or 1).`,
  ),
})

/**
 * Reads a CSV with the columns of the electricity market data, in time order. Rows are read as they stream in. Throws
 * `CSV_INVALID` naming missing columns, or the first bad rows by line, column and kind of value.
 */
export async function loadElectricity({ path }: { path?: string }): Promise<Dataset> {
  if (path === undefined) throw errors.CSV_INVALID({ issues: ['no file given: use --data elec.csv'] })
  const inputs: number[] = []
  const targets: number[] = []
  const issues: string[] = []
  let line = 1
  for await (const row of rowsOf(path)) {
    line += 1
    if (line === 2) {
      const missing = [...FEATURES, TARGET].filter((column) => !(column in row))
      if (missing.length > 0)
        throw errors.CSV_INVALID({ issues: missing.map((column) => `column ${column} is missing`) })
    }
    for (const column of FEATURES) inputs.push(numberOf(row, column, line, issues))
    const label = row[TARGET]
    if (label !== '0' && label !== '1') issues.push(`line ${line}, ${TARGET}: ${kindOf(label)}, must be 0 or 1`)
    targets.push(Number(label))
    if (issues.length >= NAMED_ROWS) break
  }
  if (targets.length === 0) issues.push('no rows')
  if (issues.length > 0) throw errors.CSV_INVALID({ issues })
  return {
    inputs: { dtype: 'float32', shape: [targets.length, FEATURES.length], data: Float32Array.from(inputs) },
    targets: { dtype: 'int32', shape: [targets.length], data: Int32Array.from(targets) },
    features: [...FEATURES],
    classes: ['down', 'up'],
  }
}

async function* rowsOf(path: string): AsyncGenerator<Record<string, string>> {
  const parser = Papa.parse(Papa.NODE_STREAM_INPUT, { header: true, skipEmptyLines: true })
  await access(path, constants.R_OK).catch((cause: unknown) => {
    throw errors.CSV_INVALID({ issues: [`${path} cannot be read`] }, cause)
  })
  const file = createReadStream(path)
  file.once('error', (error) => parser.destroy(error))
  yield* file.pipe(parser) as AsyncIterable<Record<string, string>>
}

function numberOf(row: Record<string, string>, column: string, line: number, issues: string[]): number {
  const text = row[column]
  const value = text === undefined || text.trim() === '' ? Number.NaN : Number(text)
  if (!Number.isFinite(value)) issues.push(`line ${line}, ${column}: ${kindOf(text)}, must be a number`)
  return value
}

/** The kind of a value, which unlike the value itself may stand in an error. */
function kindOf(text: string | undefined): string {
  if (text === undefined) return 'missing'
  return text.trim() === '' ? 'empty' : Number.isFinite(Number(text)) ? 'a number' : 'text'
}
