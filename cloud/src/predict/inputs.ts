import {
  arrayClasses,
  type Columns,
  type DataType,
  elementCount,
  numberToBfloat16,
  numberToHalf,
  type Signature,
  type Tensor,
  type TensorSpec,
  type Tensors,
} from '@tideway/core'
import { type Cell, cellReader, type RawRow } from '@tideway/data-files'
import { cloudErrors } from '../errors.js'
import { type ValueReader, valueReader } from './values.js'

/** Where each input's numbers come from. */
export interface InputPlan {
  readonly inputs: readonly PlannedInput[]
  /** Places of the columns that go into the model. */
  readonly used: ReadonlySet<number>
}

interface PlannedInput {
  readonly spec: TensorSpec
  /** One row's shape. */
  readonly row: readonly number[]
  /** Places in the file, one for each element of a row. */
  readonly columns: readonly number[]
  readonly names: readonly string[]
  readonly readers: readonly ValueReader[]
}

export interface PlanOrder {
  readonly signature: Signature
  /** Of the file's columns. */
  readonly names: readonly string[]
  /** Columns that feed the one input, in this order. */
  readonly columns?: readonly string[] | undefined
  /** The names that the model was trained with, where they are known. */
  readonly features?: readonly string[] | undefined
  /** What the columns are, where that is known: categories and times as the model takes them. */
  readonly schema?: Columns | undefined
}

export interface EncodedRows {
  /** Undefined where no row is good. */
  readonly inputs: Tensors | undefined
  /** Which of the rows these are. */
  readonly good: readonly number[]
  readonly bad: readonly { readonly at: number; readonly reason: string }[]
}

const MOST_NAMED = 10

/**
 * How columns become inputs: columns named as the inputs, or one input fed by the columns that were named, that its schema or
 * its training names, or else by all of the file where these are as many as it takes. Throws `PREDICT_ORDER_INVALID`.
 */
export function planInputs(order: PlanOrder): InputPlan {
  const { signature, columns } = order
  const issues: string[] = []
  const byName = columns === undefined ? namedInputs(order) : undefined
  const inputs = byName ?? oneInput(order, issues)
  if (signature.inputs.length === 0) issues.push('the model takes no inputs')
  if (issues.length > 0) throw cloudErrors.PREDICT_ORDER_INVALID({ issues: [...issues, ...delimiterIssue(order)] })
  return { inputs, used: new Set(inputs.flatMap(({ columns }) => columns)) }
}

/** A file that seems to have one column may have other characters between its fields than it was read with. */
function delimiterIssue({ names }: PlanOrder): string[] {
  const [name = ''] = names
  const [found] = names.length === 1 ? (/[,;|\t]/.exec(name) ?? []) : []
  return found === undefined
    ? []
    : [
        `the file has one column, ${JSON.stringify(name.slice(0, 80))}: perhaps ${JSON.stringify(found)} is its --delimiter`,
      ]
}

/** A column for each input (or `name.0`, `name.1`, ... for several numbers a row); undefined where one has none. */
function namedInputs({ signature, names }: PlanOrder): PlannedInput[] | undefined {
  const planned: PlannedInput[] = []
  for (const spec of signature.inputs) {
    const row = rowShape(spec, 1)
    const width = elementCount(row)
    const wanted = width === 1 ? [spec.name] : Array.from({ length: width }, (_, at) => `${spec.name}.${at}`)
    const columns = wanted.map((name) => names.indexOf(name))
    if (columns.includes(-1)) return undefined
    planned.push({ spec, row, columns, names: wanted, readers: wanted.map(() => valueReader(spec.dtype)) })
  }
  return planned
}

function oneInput(order: PlanOrder, issues: string[]): PlannedInput[] {
  const { signature, names, schema } = order
  const [spec, ...others] = signature.inputs
  if (spec === undefined) return []
  if (others.length > 0) {
    const all = signature.inputs.map(({ name }) => name).join(', ')
    issues.push(`the model takes several inputs (${all}): the file must have a column named as each`)
    return []
  }
  const wanted = order.columns ?? (schema ? schema.features : chosen(order, spec))
  const missing = wanted.filter((name) => !names.includes(name))
  if (missing.length > 0)
    issues.push(
      `the file has no column ${missing.slice(0, MOST_NAMED).join(', ')}${more(missing)}, but ${listed(names)}`,
    )
  const row = rowShape(spec, wanted.length)
  if (elementCount(row) !== wanted.length)
    issues.push(
      `input ${spec.name} takes ${elementCount(row)} values a row, not ${wanted.length}: name its columns with --columns`,
    )
  if (schema && spec.dtype !== 'float32')
    issues.push(`input ${spec.name} is ${spec.dtype}, a column schema gives float32`)
  return [
    {
      spec,
      row,
      columns: wanted.map((name) => names.indexOf(name)),
      names: wanted,
      readers: wanted.map((name) => readerOf(schema, name) ?? valueReader(spec.dtype)),
    },
  ]
}

/** Those of the training where the file has any of them, so that one that is missing is told of; else all of the file. */
function chosen({ names, features = [] }: PlanOrder, spec: TensorSpec): readonly string[] {
  const width = elementCount(rowShape(spec, features.length))
  return features.length === width && features.some((name) => names.includes(name)) ? features : names
}

function readerOf(schema: Columns | undefined, name: string): ValueReader | undefined {
  const column = schema?.columns[name]
  if (column === undefined) return undefined
  const reader = cellReader(column)
  return {
    must: reader.must,
    read(cell) {
      const result = reader.read(cell)
      return typeof result === 'number' ? { value: result } : result
    },
  }
}

/** A free size of a row is what is left for it; further ones are 1. */
function rowShape({ shape }: TensorSpec, count: number): number[] {
  const sizes = shape.slice(1)
  const fixed = elementCount(sizes.map((size) => size ?? 1))
  const free = sizes.indexOf(null)
  return sizes.map((size, at) => size ?? (at === free ? Math.max(1, Math.floor(count / fixed)) : 1))
}

/** Rows as tensors, the bad ones left out; each of those says its first bad value by column and kind. */
export function encodeRows(plan: InputPlan, rows: readonly RawRow[], width: number): EncodedRows {
  const bad: { at: number; reason: string }[] = []
  const good: number[] = []
  const values = plan.inputs.map((): unknown[] => [])
  for (const [at, { cells }] of rows.entries()) {
    const reason = cells.length === width ? readRow(plan, cells, values) : fieldCount(cells.length, width)
    if (reason === undefined) good.push(at)
    else {
      bad.push({ at, reason })
      for (const [place, list] of values.entries())
        list.length = good.length * (plan.inputs[place]?.columns.length ?? 0)
    }
  }
  if (good.length === 0) return { inputs: undefined, good, bad }
  const inputs = plan.inputs.map(({ spec, row }, place) => [
    spec.name,
    tensorOf(spec.dtype, [good.length, ...row], values[place] ?? []),
  ])
  return { inputs: Object.fromEntries(inputs) as Tensors, good, bad }
}

function readRow(plan: InputPlan, cells: readonly Cell[], values: readonly unknown[][]): string | undefined {
  for (const [place, { columns, names, readers }] of plan.inputs.entries()) {
    for (const [at, column] of columns.entries()) {
      const reader = readers[at] as ValueReader
      const result = reader.read(cells[column])
      if ('kind' in result) return `${names[at]}: ${result.kind}, must be ${reader.must}`
      values[place]?.push(result.value)
    }
  }
  return undefined
}

const fieldCount = (count: number, width: number) =>
  `row: too ${count < width ? 'few' : 'many'} fields, must be ${width} fields`

function tensorOf(dtype: DataType, shape: readonly number[], values: readonly unknown[]): Tensor {
  if (dtype === 'string') return { dtype, shape, data: values as string[] }
  const array = new arrayClasses[dtype](values.length) as Float32Array
  const bits = HALVES[dtype]
  for (let at = 0; at < values.length; at++) array[at] = bits ? bits(values[at] as number) : (values[at] as number)
  return { dtype, shape, data: array } as Tensor
}

const HALVES: Partial<Record<DataType, (value: number) => number>> = {
  float16: numberToHalf,
  bfloat16: numberToBfloat16,
}

const listed = (names: readonly string[]) => `${names.slice(0, MOST_NAMED).join(', ')}${more(names)}`
const more = (names: readonly string[]) => (names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : '')
