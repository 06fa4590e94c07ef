import { stat } from 'node:fs/promises'
import { extname } from 'node:path'
import { type ColumnsConfig, type Dataset, type Tensor, TidewayError } from '@tideway/core'
import {
  readColumnNames,
  readCsv,
  readImageFolder,
  readNpz,
  readParquet,
  tensorDataset,
  toDataset,
} from '@tideway/data-files'
import { cloudErrors } from '../errors.js'
import { type ImageShape, imageInput, rowsFor } from './rows.js'

export interface DataOrder {
  readonly path: string
  /** One row's shape as the model's file has it; null where it leaves a size free. */
  readonly row: readonly (number | null)[]
  readonly image?: ImageShape | undefined
  readonly target?: readonly string[] | undefined
  /** What bytes are multiplied with; 1/255 when left out. */
  readonly scale?: number | undefined
  /** Targets are classes, not values; `either`: whatever they are. */
  readonly classes: boolean | 'either'
  /** Without targets (no --target, no array of them) there are none: float32 [rows, 0]. */
  readonly unlabelled?: boolean | undefined
}

/** What is most often behind a table that does not fit where nothing says which column is predicted. */
const FORGOTTEN = '. Is one of its columns what is to be predicted? Name it with --target'

const invalid = (...issues: string[]): Error => cloudErrors.DATA_INVALID({ issues })

/**
 * Rows for a model from a folder of images, a table or arrays, by what the path is. Throws `DATA_INVALID` and the
 * loaders' errors.
 */
export async function loadRows(order: DataOrder): Promise<Dataset> {
  const { path, image, target } = order
  const found = await stat(path).catch((cause: unknown) => {
    throw cloudErrors.DATA_INVALID({ issues: [`${path}: there is no such file or folder`] }, cause)
  })
  const kind = found.isDirectory() ? 'folder' : extname(path).toLowerCase()
  const load = { folder: loadImages, '.csv': loadTable, '.parquet': loadTable, '.npz': loadArrays }[kind]
  const issues = []
  if (load === undefined) issues.push(`${path}: neither a folder of images nor .csv, .parquet or .npz`)
  if (image !== undefined && load !== undefined && load !== loadImages) issues.push('--image is for a folder of images')
  if (target !== undefined && load !== undefined && load !== loadTable) issues.push('--target is for .csv and .parquet')
  if (target === undefined && load === loadTable && !order.unlabelled)
    issues.push(`${path}: name the column to predict with --target`)
  if (load === undefined || issues.length > 0) throw invalid(...issues)
  const dataset = await load(order)
  const [rows = 0, ...have] = dataset.inputs.shape
  const row = order.row.every((size) => size !== null) ? order.row : have
  const fitted = rows === 0 ? `${path}: no rows` : rowsFor(dataset, row.map(Number))
  if (typeof fitted === 'string')
    throw invalid(`${path}: ${fitted}${load === loadTable && target === undefined ? FORGOTTEN : ''}`)
  return order.scale === undefined ? fitted : { ...fitted, scale: order.scale }
}

async function loadImages({ path, row, image, classes }: DataOrder): Promise<Dataset> {
  if (!classes) throw invalid(`${path}: a folder of images has classes, not values to predict`)
  const input = imageInput(row, image)
  if (typeof input === 'string') throw invalid(input)
  const [height, width, channels] = input.shape
  if (channels !== 1 && channels !== 3) throw invalid(`--image: ${channels} channels, but images have 1 or 3`)
  const { report: _, ...dataset } = await readImageFolder(path, { size: { height, width }, channels })
  // Folders that are called 0, 1, 2 name the classes of a model that is there; a head of its own has any order.
  const rows = rowsFor(classes === 'either' ? numbered(dataset) : dataset, input.row)
  if (typeof rows === 'string') throw invalid(`${path}: ${rows}`)
  return rows
}

async function loadTable({ path, target = [], classes }: DataOrder): Promise<Dataset> {
  const names = await readColumnNames(path)
  const missing = target.filter((name) => !names.includes(name))
  if (missing.length > 0)
    throw invalid(...missing.map((name) => `--target ${name}: there is no such column, but ${names.join(', ')}`))
  const predicted = { type: classes ? 'category' : 'number', role: 'target' } as const
  const schema: ColumnsConfig = {
    columns: Object.fromEntries(
      names.map((name) => [name, target.includes(name) ? predicted : { type: 'number' }] as const),
    ),
    features: names.filter((name) => !target.includes(name)),
  }
  const read = extname(path).toLowerCase() === '.parquet' ? readParquet : readCsv
  const table = await read(path, { schema }).catch((error: unknown) => {
    const issues = error instanceof TidewayError && target.length === 0 ? error.data.issues : undefined
    if (!Array.isArray(issues)) throw error
    const [first = '', ...others] = issues as readonly string[]
    const more = others.length === 0 ? '' : `, and ${others.length} more like it`
    throw cloudErrors.DATA_INVALID({ issues: [`${path}: ${first}${more}${FORGOTTEN}`] }, error)
  })
  if (target.length === 0) {
    const columns = names.map((name) => table.columns[name] ?? [])
    const data = Float32Array.from({ length: table.rows * names.length }, (_, at) =>
      Number(columns[at % names.length]![Math.floor(at / names.length)]),
    )
    const inputs: Tensor = { dtype: 'float32', shape: [table.rows, names.length], data }
    return { inputs, targets: noTargets(table.rows), features: names }
  }
  const { schema: _, ...dataset } = toDataset(table)
  return numbered(dataset)
}

const noTargets = (rows: number): Tensor => ({ dtype: 'float32', shape: [rows, 0], data: new Float32Array(0) })

/** Classes that are called 0, 1, 2 (or 0.0, as whole numbers beside gaps are written) are these indices; others are numbered in the order of their names. */
function numbered(dataset: Dataset): Dataset {
  const { classes: names, targets, ...rest } = dataset
  if (names === undefined || !names.every((name) => /^(0|[1-9]\d{0,8})(\.0+)?$/.test(name))) return dataset
  const data = Int32Array.from(targets.data as Int32Array, (index) => Number(names[index]))
  return { ...rest, targets: { dtype: 'int32', shape: targets.shape, data } }
}

/** By name, as Keras's and PyTorch's users call them. */
const ARRAYS = [
  ['inputs', 'targets'],
  ['x', 'y'],
] as const

async function loadArrays({ path, classes, unlabelled }: DataOrder): Promise<Dataset> {
  const arrays = await readNpz(path)
  const alone = ARRAYS.find(([x, y]) => arrays[x] !== undefined && arrays[y] === undefined)
  if (unlabelled && alone !== undefined) {
    const array = arrays[alone[0]] as Tensor
    const rows = array.shape[0] ?? 0
    const none = { dtype: 'int32', shape: [rows], data: new Int32Array(rows) } as const
    const { targets: _, ...dataset } = tensorDataset(array, none, array.dtype === 'uint8' ? { scale: 1 / 255 } : {})
    return { ...dataset, targets: noTargets(rows) }
  }
  const names = ARRAYS.find(([x, y]) => arrays[x] !== undefined && arrays[y] !== undefined)
  if (names === undefined) {
    const found = Object.keys(arrays).join(', ')
    throw invalid(`${path}: needs the arrays inputs and targets (or x and y), and has ${found}`)
  }
  const inputs = arrays[names[0]] as Tensor
  const dataset = tensorDataset(inputs, arrays[names[1]] as Tensor, inputs.dtype === 'uint8' ? { scale: 1 / 255 } : {})
  const { dtype, shape, data } = dataset.targets
  if (classes === true && dtype !== 'int32')
    throw invalid(`${path}: ${names[1]} are no whole numbers [rows], but classes are`)
  if (classes || dtype === 'float32') return dataset
  const values = Float32Array.from(data as Int32Array)
  return { ...dataset, targets: { dtype: 'float32', shape: [shape[0] ?? 0, 1], data: values } }
}
