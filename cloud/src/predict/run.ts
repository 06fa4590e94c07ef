import { stat } from 'node:fs/promises'
import { extname } from 'node:path'
import { type Columns, codeOf, ordered, type Tensors } from '@tideway/core'
import { openRows, type RawRow, type RowTable } from '@tideway/data-files'
import { cloudErrors } from '../errors.js'
import { joined, split } from '../serving/rows.js'
import type { Engine } from './engine.js'
import { FORMATS, type Format } from './formats.js'
import { encodeRows, type InputPlan, planInputs } from './inputs.js'
import { joinParts } from './join.js'
import { Journal } from './journal.js'
import { type AnswerRow, answerRows, type OutputPlan, planOutput } from './output.js'

export interface PredictOrder {
  readonly input: string
  readonly output: string
  readonly engine: Engine
  readonly columns?: readonly string[] | undefined
  /** Of the file, to stand beside the answers; `all`, `none`; left out: those that the model does not take. */
  readonly keep?: readonly string[] | 'all' | 'none' | undefined
  readonly schema?: Columns | undefined
  readonly classes?: readonly string[] | undefined
  readonly delimiter?: string | undefined
  readonly onError: 'fail' | 'skip'
  readonly restart: boolean
  /** Rows that go to the model together. */
  readonly batchRows: number
  /** What else answers depend on, for the journal. */
  readonly settings: Readonly<Record<string, unknown>>
  readonly onProgress?: ((progress: PredictProgress) => void) | undefined
}

export interface PredictProgress {
  /** Of the file, done so far: written and flushed. */
  readonly rows: number
  readonly skipped: number
  /** Of these rows, done by an earlier process. */
  readonly resumedFrom: number
  /** Of the file, read so far; `bytes` in all. */
  readonly bytesRead: number
  readonly bytes: number
  /** In all, where the file says so. */
  readonly rowCount?: number | undefined
}

export interface PredictResult {
  readonly output: string
  readonly rows: number
  readonly skipped: number
  /** The file of the rows that were left out, where there are some. */
  readonly skippedFile?: string
  /** Rows that an earlier process had done. */
  readonly resumedFrom: number
  readonly columns: readonly string[]
}

/** Rows of the file in one part: what is done again after a kill. */
export const PART_ROWS = 8_192
const NAMED = 20

/**
 * Answers the rows of a file into another one: read, answered and written as they come, in memory that does not grow with the
 * file. What is done is kept in parts beside the output, from which the same order goes on after a kill; the output has
 * its name only when it is whole, and the same bytes however often the process was killed.
 *
 * Throws `PREDICT_ORDER_INVALID`, `PREDICT_ROWS_INVALID`, `PREDICT_RESUME_REFUSED`, `PREDICT_OUTPUT_EXISTS`,
 * `FILE_NOT_WRITTEN`, and what reading and running throw.
 */
export async function predictFile(order: PredictOrder): Promise<PredictResult> {
  const { input, output, engine, batchRows } = order
  const format = formatOf(output)
  const table = await openRows(input, { ...(order.delimiter !== undefined && { delimiter: order.delimiter }) })
  const { signature, features } = engine
  const schema = order.schema ?? (order.columns === undefined ? engine.schema : undefined)
  const plan = planInputs({ signature, names: table.names, columns: order.columns, features, schema })
  const kept = keptColumns(order, table, plan)
  const { size, mtimeMs } = await stat(input)
  const identity = {
    v: 1 as const,
    input: { bytes: size, modifiedMs: mtimeMs },
    model: engine.digest,
    options: {
      format: format.extension,
      columns: plan.inputs.flatMap(({ names }) => names),
      keep: kept.map((place) => table.names[place]),
      onError: order.onError,
      batchRows,
      classes: order.classes,
      delimiter: order.delimiter,
      schema: order.schema,
      ...order.settings,
    },
  }
  const journal = await Journal.open(output, format.extension, identity, order.restart)
  const work = new Work(order, table, plan, kept, journal, format)
  await work.run()
  const columns = await journal.columns()
  if (columns === undefined)
    throw cloudErrors.PREDICT_ORDER_INVALID({ issues: [`${input}: no row that could be answered`] })
  const skippedFile = await joinParts(journal, format, columns, output)
  const { rows, skipped, resumedFrom } = work
  return {
    output,
    rows,
    skipped,
    resumedFrom,
    columns: columns.map(({ name }) => name),
    ...(skippedFile !== undefined && { skippedFile }),
  }
}

function formatOf(output: string): Format {
  const format = FORMATS[extname(output).toLowerCase()]
  if (format) return format
  const known = Object.keys(FORMATS).join(', ')
  throw cloudErrors.PREDICT_ORDER_INVALID({ issues: [`--output ${output}: its name has to end with ${known}`] })
}

function keptColumns({ keep }: PredictOrder, { names }: RowTable, { used }: InputPlan): number[] {
  const places = [...names.keys()]
  if (keep === 'none') return []
  if (keep === 'all') return places
  if (keep === undefined) return places.filter((place) => !used.has(place))
  const issues = keep
    .filter((name) => !names.includes(name))
    .map((name) => `--keep ${name}: the file has no such column`)
  if (issues.length > 0) throw cloudErrors.PREDICT_ORDER_INVALID({ issues })
  return keep.map((name) => names.indexOf(name))
}

/** Rows of the file that go to the model together, and what came of them. */
interface Chunk {
  readonly rows: readonly RawRow[]
  /** Of the first, in the file, from 1. */
  readonly first: number
  readonly bytesRead: number
}

interface Answered {
  readonly chunk: Chunk
  readonly good: readonly number[]
  readonly outputs: Tensors | undefined
  readonly bad: readonly { readonly at: number; readonly reason: string }[]
}

class Work {
  rows = 0
  skipped = 0
  resumedFrom = 0
  private plan: OutputPlan | undefined
  private answers: AnswerRow[] = []
  private left: string[] = []
  private inPart = 0

  constructor(
    private readonly order: PredictOrder,
    private readonly table: RowTable,
    private readonly inputs: InputPlan,
    private readonly kept: readonly number[],
    private readonly journal: Journal,
    private readonly format: Format,
  ) {}

  async run(): Promise<void> {
    const { engine } = this.order
    this.resumedFrom = this.journal.done * PART_ROWS
    this.skipped = await this.journal.skippedRows()
    this.rows = this.resumedFrom
    let bytesRead = 0
    for await (const answered of ordered(this.chunks(), engine.atOnce, (chunk) => this.answer(chunk))) {
      await this.take(answered)
      ;({ bytesRead } = answered.chunk)
      if (this.inPart >= PART_ROWS) await this.commit(bytesRead)
    }
    if (this.inPart > 0) await this.commit(bytesRead)
  }

  /** As many rows in each chunk wherever reading began, so that the same rows go to the model together. */
  private async *chunks(): AsyncGenerator<Chunk> {
    const size = this.order.batchRows
    let first = this.resumedFrom + 1
    let rows: RawRow[] = []
    let bytesRead = 0
    for await (const block of this.table.read(this.resumedFrom)) {
      ;({ bytesRead } = block)
      for (const row of block.rows) {
        rows.push(row)
        if (rows.length < size && (first + rows.length - 1) % PART_ROWS !== 0) continue
        yield { rows, first, bytesRead }
        first += rows.length
        rows = []
      }
    }
    if (rows.length > 0) yield { rows, first, bytesRead }
  }

  private async answer(chunk: Chunk): Promise<Answered> {
    const { engine } = this.order
    const { inputs, good, bad } = encodeRows(this.inputs, chunk.rows, this.table.names.length)
    if (inputs === undefined) return { chunk, good, outputs: undefined, bad }
    try {
      return { chunk, good, outputs: await engine.run(inputs), bad }
    } catch (error) {
      if (codeOf(error) !== 'RUN_FAILED') throw error
      return this.apart(chunk, inputs, good, bad)
    }
  }

  /** Each row alone: the model fails on some of them, and which these are shows. */
  private async apart(
    chunk: Chunk,
    inputs: Tensors,
    rows: readonly number[],
    before: Answered['bad'],
  ): Promise<Answered> {
    const { engine } = this.order
    const alone = split(inputs, Array<number>(rows.length).fill(1)) ?? []
    const bad = [...before]
    const [good, parts]: [number[], Tensors[]] = [[], []]
    for (const [at, row] of alone.entries()) {
      const place = rows[at] as number
      try {
        parts.push(await engine.run(row))
        good.push(place)
      } catch (error) {
        if (codeOf(error) !== 'RUN_FAILED') throw error
        bad.push({ at: place, reason: 'row: the model fails on it' })
      }
    }
    bad.sort((a, b) => a.at - b.at)
    return { chunk, good, outputs: parts.length === 0 ? undefined : joined(parts), bad }
  }

  private async take({ chunk, good, outputs, bad }: Answered): Promise<void> {
    const { order, table } = this
    const where = (at: number) => `${table.unit} ${chunk.rows[at]?.place}`
    if (bad.length > 0 && order.onError === 'fail') {
      const issues = bad.slice(0, NAMED).map(({ at, reason }) => `${where(at)}, ${reason}`)
      throw cloudErrors.PREDICT_ROWS_INVALID({ file: table.file, issues, more: bad.length - issues.length })
    }
    for (const { at, reason } of bad)
      this.left.push(JSON.stringify({ row: chunk.first + at, [table.unit]: chunk.rows[at]?.place, reason }))
    if (outputs !== undefined) {
      this.plan ??= await this.planOf(outputs, good.length)
      const rows = good.map((at) => ({ row: chunk.rows[at] as RawRow, number: chunk.first + at }))
      // One by one: a large chunk's rows are more arguments than a call may have.
      for (const row of answerRows(this.plan, rows, outputs)) this.answers.push(row)
    }
    this.inPart += chunk.rows.length
  }

  private async planOf(outputs: Tensors, rows: number): Promise<OutputPlan> {
    const { engine, classes = engine.classes } = this.order
    const plan = planOutput({ table: this.table, kept: this.kept, outputs, rows, classes })
    if ((await this.journal.columns()) === undefined) await this.journal.writeColumns(plan.columns)
    return plan
  }

  private async commit(bytesRead: number): Promise<void> {
    const { journal, format, table, order } = this
    const answers = await format.part(this.plan?.columns ?? [], this.answers)
    await journal.writePart({ answers, skipped: this.left.map((line) => `${line}\n`).join('') })
    this.rows += this.inPart
    this.skipped += this.left.length
    this.answers = []
    this.left = []
    this.inPart = 0
    const { rows, skipped, resumedFrom } = this
    order.onProgress?.({ rows, skipped, resumedFrom, bytesRead, bytes: table.bytes, rowCount: table.rowCount })
  }
}
