import { type Columns, resolveColumns } from '@tideway/core'
import { BadRows, type LoadReport } from './bad-rows.js'
import { type Cell, type CellReader, cellReader, type NumberFormat } from './cells.js'
import type { Limiter } from './limits.js'

/** A loaded table. */
export interface Table {
  /**
   * The schema that was asked for, resolved: every category has its `values`, `features` its order. It is what the
   * model's first layer takes, and what says which index a device sends for a category.
   */
  readonly schema: Columns
  readonly rows: number
  /** By name: NaN is missing, a category is its index in `values`, -1 one outside of them. Columns to ignore are left out. */
  readonly columns: Readonly<Record<string, Float64Array>>
  readonly report: LoadReport
}

const FIRST_ROWS = 256
const BYTES_PER_VALUE = 8

/** Takes rows one at a time, checks them, and keeps the good ones by column. */
export class TableBuilder {
  readonly names: readonly string[]
  private readonly bad = new BadRows()
  private readonly readers: readonly CellReader[]
  private readonly kept: Float64Array[]
  private readonly row: Float64Array
  private rows = 0

  constructor(
    private readonly schema: Columns,
    private readonly limiter: Limiter,
    format?: NumberFormat,
  ) {
    this.names = Object.keys(schema.columns).filter((name) => schema.columns[name]?.role !== 'ignore')
    this.readers = Object.entries(schema.columns)
      .filter(([, { role }]) => role !== 'ignore')
      .map(([, column]) => cellReader(column, format))
    this.row = new Float64Array(this.names.length)
    this.kept = this.names.map(() => new Float64Array(FIRST_ROWS))
  }

  /** A row that is bad as a whole. */
  refuse(where: string, kind: string, must: string): void {
    this.limiter.check('maxRows', this.rows + ++this.bad.dropped)
    this.bad.add(where, 'row', kind, must)
  }

  /** Adds a row's cells in the order of `names`; all of its bad cells are noted. */
  add(where: () => string, cellAt: (place: number) => Cell): void {
    let good = true
    for (const [place, reader] of this.readers.entries()) {
      const result = reader.read(cellAt(place))
      if (typeof result === 'number') this.row[place] = result
      else {
        good = false
        this.bad.add(where(), this.names[place] ?? '', result.kind, reader.must)
      }
    }
    if (good) this.keep()
    else this.bad.dropped++
    this.limiter.check('maxRows', this.rows + this.bad.dropped)
  }

  /** The table; `refused` makes the error when a bad row is fatal, or when no row is left. */
  finish(refused: (problem: Pick<LoadReport, 'file' | 'issues' | 'bad'>) => Error): Table {
    const { bad, limiter } = this
    if (bad.dropped > 0 && this.schema.onBadRow === 'error')
      throw refused({ file: limiter.file, issues: bad.issues, bad: bad.bad })
    if (this.rows === 0) throw refused({ file: limiter.file, issues: ['no rows', ...bad.issues], bad: bad.bad })
    const columns: [string, Float64Array][] = this.names.map((name, place) => [
      name,
      (this.kept[place] ?? new Float64Array(0)).subarray(0, this.rows),
    ])
    const { schema, recoded } = sortedVocabularies(this.schema, this.names, this.readers)
    for (const [name, values] of columns) recoded.get(name)?.(values)
    return {
      schema,
      rows: this.rows,
      columns: Object.fromEntries(columns),
      report: bad.report(limiter.file, this.rows),
    }
  }

  private keep(): void {
    if (this.rows === this.kept[0]?.length) this.grow()
    for (const [place, values] of this.kept.entries()) values[this.rows] = this.row[place] ?? Number.NaN
    this.rows++
  }

  /** By half, column by column: what lies in memory twice is one column. */
  private grow(): void {
    this.limiter.check('maxDecodedBytes', (this.rows + 1) * this.names.length * BYTES_PER_VALUE)
    for (const [place, values] of this.kept.entries()) {
      const larger = new Float64Array(Math.ceil(values.length * 1.5))
      larger.set(values)
      this.kept[place] = larger
    }
  }
}

/** Vocabularies that the file gave, sorted: the order of its rows must not decide which index a category has. */
function sortedVocabularies(schema: Columns, names: readonly string[], readers: readonly CellReader[]) {
  const recoded = new Map<string, (values: Float64Array) => void>()
  const columns = { ...schema.columns }
  for (const [place, name] of names.entries()) {
    const column = columns[name]
    const found = readers[place]?.values
    if (column?.type !== 'category' || column.values !== undefined || found === undefined || found.length === 0)
      continue
    const values = found.toSorted((a, b) => (a < b ? -1 : 1))
    const places = new Map(values.map((value, index) => [value, index]))
    const index = found.map((value) => places.get(value) ?? -1)
    columns[name] = { ...column, values }
    recoded.set(name, (cells) => {
      for (const [row, cell] of cells.entries()) if (!Number.isNaN(cell)) cells[row] = index[cell] ?? -1
    })
  }
  return { schema: resolveColumns({ ...schema, columns }), recoded }
}
