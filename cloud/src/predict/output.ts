import { bfloat16ToNumber, elementCount, halfToNumber, type Tensor, type Tensors } from '@tideway/core'
import type { Cell, ColumnKind, RawRow, RowTable, WrittenColumn } from '@tideway/data-files'
import { cloudErrors } from '../errors.js'

/** One output of the model, as columns of the answer. */
interface PlannedOutput {
  readonly name: string
  /** Numbers a row, of this shape. */
  readonly row: readonly number[]
  readonly columns: readonly WrittenColumn[]
  /** Whether its largest number says the class. */
  readonly tells: boolean
}

/** What stands in the columns of the answer, in their order. */
export interface OutputPlan {
  readonly columns: readonly WrittenColumn[]
  /** Places of the file's columns that are kept. */
  readonly kept: readonly number[]
  /** The number of the row stands first where nothing else says which it is. */
  readonly numbered: boolean
  readonly outputs: readonly PlannedOutput[]
  /** Names of the classes by index, where the model tells classes apart; empty where they have no names. */
  readonly classes: readonly string[] | undefined
}

export interface OutputOrder {
  readonly table: RowTable
  readonly kept: readonly number[]
  /** Of one run. */
  readonly outputs: Tensors
  readonly rows: number
  /** Names of the classes; an empty list: it tells classes apart that have no names. Undefined: it does not. */
  readonly classes: readonly string[] | undefined
}

const PREDICTION = 'prediction'
const ROW = 'row'

/** The columns that the answers of a run make. Throws `PREDICT_ORDER_INVALID` where two would have one name. */
export function planOutput({ table, kept, outputs, rows, classes }: OutputOrder): OutputPlan {
  const planned = Object.entries(outputs).map(([name, tensor]) => plannedOutput(name, tensor, rows, classes))
  // One output alone says the class: the first that could.
  const telling = planned.findIndex(({ tells }) => tells)
  const own = planned.map((output, at) => ({ ...output, tells: at === telling }))
  const numbered = kept.length === 0
  const columns: WrittenColumn[] = [
    ...(numbered ? [{ name: ROW, kind: 'integer' as const }] : []),
    ...kept.map((place) => ({ name: table.names[place] as string, kind: table.kinds[place] as ColumnKind })),
    ...(telling < 0 ? [] : [{ name: PREDICTION, kind: (classes?.length ? 'text' : 'integer') as ColumnKind }]),
    ...own.flatMap((output) => output.columns),
  ]
  const names = columns.map(({ name }) => name)
  const twice = [...new Set(names.filter((name, at) => names.indexOf(name) < at))]
  if (twice.length > 0)
    throw cloudErrors.PREDICT_ORDER_INVALID({
      issues: [`${twice.slice(0, 5).join(', ')}: both a column that is kept and one of the answer: choose with --keep`],
    })
  return { columns, kept, numbered, outputs: own, classes: telling < 0 ? undefined : classes }
}

function plannedOutput(
  name: string,
  { dtype, shape }: Tensor,
  rows: number,
  classes: readonly string[] | undefined,
): PlannedOutput {
  if (shape[0] !== rows) throw oddOutput(name, shape, rows)
  const row = shape.slice(1)
  const width = elementCount(row)
  const isOdds = classes !== undefined && isFloat(dtype)
  const isBinary = classes?.length === 2 && width === 1
  const tells = isOdds && (classes.length === 0 ? width > 1 : classes.length === width || isBinary)
  const labels = tells && !isBinary && classes.length === width ? classes : undefined
  const columns = Array.from({ length: width }, (_, at) => ({
    name: width === 1 ? name : `${name}.${labels?.[at] ?? at}`,
    kind: kindOf(dtype),
  }))
  return { name, row, columns, tells }
}

const isFloat = (dtype: Tensor['dtype']): boolean => /float/.test(dtype)

function kindOf(dtype: Tensor['dtype']): ColumnKind {
  if (dtype === 'string') return 'text'
  if (dtype === 'bool') return 'boolean'
  if (dtype === 'float64') return 'double'
  return isFloat(dtype) ? 'float' : 'integer'
}

function oddOutput(name: string, shape: readonly number[], rows: number): Error {
  const issue = `output ${name} is [${shape.join(', ')}] for ${rows} rows: there is not one answer to each row`
  return cloudErrors.PREDICT_ORDER_INVALID({ issues: [issue] })
}

/** One row of the answer. */
export type AnswerRow = readonly Cell[]

/** The rows of the answer to rows of the file; `first` is the number of the first of them in the file, from 1. */
export function answerRows(
  plan: OutputPlan,
  rows: readonly { readonly row: RawRow; readonly number: number }[],
  outputs: Tensors,
): AnswerRow[] {
  const tensors = plan.outputs.map((output) => {
    const tensor = outputs[output.name]
    if (tensor === undefined || tensor.shape.join() !== [rows.length, ...output.row].join())
      throw oddOutput(output.name, tensor?.shape ?? [], rows.length)
    return { ...output, tensor, width: output.columns.length }
  })
  return rows.map(({ row, number }, at) => {
    const cells: Cell[] = plan.numbered ? [number] : []
    for (const place of plan.kept) cells.push(row.cells[place])
    const telling = tensors.find(({ tells }) => tells)
    if (telling) cells.push(predicted(telling.tensor, at, telling.width, plan.classes ?? []))
    for (const { tensor, width } of tensors)
      for (let value = 0; value < width; value++) cells.push(cellOf(tensor, at * width + value))
    return cells
  })
}

/** The class with the largest number, the first of several; of a single number p, the second class from one half on. */
function predicted(tensor: Tensor, row: number, width: number, classes: readonly string[]): Cell {
  const value = (at: number) => Number(cellOf(tensor, row * width + at))
  if (width === 1) return classes[value(0) >= 0.5 ? 1 : 0]
  let best = 0
  for (let at = 1; at < width; at++) if (value(at) > value(best)) best = at
  return classes.length === 0 ? best : classes[best]
}

function cellOf({ dtype, data }: Tensor, at: number): Cell {
  if (dtype === 'float16') return halfToNumber(data[at] as number)
  if (dtype === 'bfloat16') return bfloat16ToNumber(data[at] as number)
  return dtype === 'bool' ? data[at] === 1 : data[at]
}
