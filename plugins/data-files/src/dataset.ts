import {
  type Column,
  type Columns,
  columnsOf,
  errors as coreErrors,
  type Dataset,
  halfToNumber,
  resolveColumns,
  type Tensor,
} from '@tideway/core'
import type { Table } from './table.js'

/** Data to train on, with the schema of exactly these inputs and targets: what a `columns` layer takes. */
export interface TableDataset extends Dataset {
  readonly schema: Columns
}

/**
 * A table's columns as tensors to train on. By default the features and targets are the columns of these roles; columns
 * named here take that role, and the others are ignored. A target that is a category gives class indices and the names
 * of the classes; numbers give float32 [rows, targets]. Throws `INPUT_REJECTED` for columns that are not there, and for
 * targets that may be missing.
 *
 * @example
 * const table = await readCsv('pumps.csv', { schema })
 * const dataset = toDataset(table, { target: 'state', features: ['temperature', 'kind'] })
 */
export function toDataset(
  table: Table,
  options: { readonly target?: string | readonly string[]; readonly features?: readonly string[] } = {},
): TableDataset {
  const { rows } = table
  const wanted = typeof options.target === 'string' ? [options.target] : options.target
  const targets = wanted ?? columnsOf(table.schema, 'target')
  const features = options.features ?? table.schema.features.filter((name) => !targets.includes(name))
  checkNames(table, targets, features)
  const columns = Object.entries(table.schema.columns).map(([name, column]): [string, Column] => [
    name,
    { ...column, role: targets.includes(name) ? 'target' : features.includes(name) ? 'feature' : 'ignore' },
  ])
  const schema = resolveColumns({ ...table.schema, columns: Object.fromEntries(columns), features: [...features] })
  const shared = { schema, inputs: together(table, features), features: [...features] }
  const [only = ''] = targets
  const column = schema.columns[only]
  if (column?.type !== 'category') return { ...shared, targets: together(table, targets) }
  const classes = Int32Array.from(table.columns[only] ?? [])
  return { ...shared, targets: { dtype: 'int32', shape: [rows], data: classes }, classes: [...(column.values ?? [])] }
}

function checkNames({ columns }: Table, targets: readonly string[], features: readonly string[]): void {
  const issues = [...targets, ...features]
    .filter((name) => !Object.hasOwn(columns, name))
    .map((name) => `column ${name} is not in the table`)
  if (targets.length === 0) issues.push("no target: give one, or a column the role 'target'")
  if (features.length === 0) issues.push('no features')
  issues.push(
    ...features.filter((name) => targets.includes(name)).map((name) => `column ${name} is feature and target`),
  )
  if (issues.length > 0) throw coreErrors.INPUT_REJECTED({ what: 'the choice of columns', issues })
}

/** Columns side by side, as float32 [rows, columns]. */
function together({ rows, columns }: Table, names: readonly string[]): Tensor {
  const data = new Float32Array(rows * names.length)
  for (const [place, name] of names.entries()) {
    const values = columns[name] ?? []
    for (let row = 0; row < rows; row++) data[row * names.length + place] = values[row] ?? Number.NaN
  }
  return { dtype: 'float32', shape: [rows, names.length], data }
}

const CLASS_TYPES = new Set(['int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64', 'bool'])

/**
 * Tensors from IDX, NPY or NPZ as data to train on. uint8 inputs stay bytes (give `scale`), others become float32; whole
 * targets [rows] become int32 classes, others float32 [rows, n]. Throws `INPUT_REJECTED` when the rows do not agree;
 * what training needs beyond that is for `checkDataset` to say.
 *
 * @example
 * const dataset = tensorDataset(await readIdx('images.gz'), await readIdx('labels.gz'), { rowShape: [784], scale: 1 / 255 })
 */
export function tensorDataset(
  inputs: Tensor,
  targets: Tensor,
  options: Pick<Dataset, 'scale' | 'classes' | 'features' | 'image'> & {
    /** Shape of one row, if another than the file's with as many values. */
    readonly rowShape?: readonly number[]
  } = {},
): Dataset {
  const { rowShape, ...rest } = options
  const rows = inputs.shape[0] ?? 0
  const shape = [rows, ...(rowShape ?? inputs.shape.slice(1))]
  const issues: string[] = []
  if (shape.reduce((a, b) => a * b, 1) !== inputs.data.length)
    issues.push(`rows of shape [${rowShape?.join(', ')}], but the file's are [${inputs.shape.slice(1).join(', ')}]`)
  if (targets.shape[0] !== rows) issues.push(`${rows} rows of inputs, but ${targets.shape[0] ?? 0} of targets`)
  for (const [name, { dtype }] of Object.entries({ inputs, targets }))
    if (dtype === 'string') issues.push(`${name} are texts`)
  if (issues.length > 0) throw coreErrors.INPUT_REJECTED({ what: 'inputs and targets', issues })
  const data = inputs.dtype === 'uint8' ? inputs : toFloat(inputs)
  const flat = targets.shape.length === 1
  const classes = flat && CLASS_TYPES.has(targets.dtype)
  const values = classes ? toInt32(targets) : toFloat(targets)
  return {
    ...rest,
    inputs: { ...data, shape } as Tensor,
    targets: { ...values, shape: flat && !classes ? [rows, 1] : targets.shape } as Tensor,
  }
}

function toFloat({ shape, data, dtype }: Tensor): Tensor {
  if (dtype === 'float32') return { dtype, shape, data }
  const number = dtype === 'float16' ? (value: unknown) => halfToNumber(Number(value)) : Number
  return { dtype: 'float32', shape, data: Float32Array.from(data as ArrayLike<unknown>, number) }
}

/** Labels beyond int32 become -1, which `checkDataset` refuses by row: wrapped around they would look like classes. */
const toInt32 = ({ shape, data }: Tensor): Tensor => ({
  dtype: 'int32',
  shape,
  data: Int32Array.from(data as ArrayLike<unknown>, (value) =>
    Math.abs(Number(value)) < 2 ** 31 ? Number(value) : -1,
  ),
})
