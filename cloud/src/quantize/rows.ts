import { type DataType, elementCount, type Signature, type Tensor, type Tensors } from '@tideway/core'
import { readNpz } from '@tideway/data-files'
import { cloudErrors } from '../errors.js'
import { loadRows } from '../finetune/data.js'
import type { ImageShape } from '../finetune/rows.js'
import { permutation, takeRows } from '../pipeline/split.js'
import { fixedRows, pickRows, rowCount } from './batches.js'

/** Rows of a model's inputs; targets are int32 classes [rows] or float32 values [rows, width]. */
export interface Rows {
  readonly inputs: Tensors
  readonly targets?: Tensor
  /** Names of the classes, by index. */
  readonly classes?: readonly string[]
  /** Names of the columns, of a table. */
  readonly features?: readonly string[]
  /** Why labels that are there are not used, in plain words. */
  readonly notes: readonly string[]
}

export interface RowsOrder {
  readonly path: string
  readonly signature: Signature
  readonly image?: ImageShape | undefined
  readonly target?: readonly string[] | undefined
  readonly scale?: number | undefined
  /** False: what the float model says is what counts, whatever labels there are. */
  readonly labels: boolean
}

const invalid = (...issues: string[]): Error => cloudErrors.DATA_INVALID({ issues })

/**
 * Rows for a model, from what `loadRows` reads; a model of several inputs, or of one that is not float32, takes an .npz
 * with an array by each input's name (and `targets` or `y`). Throws `DATA_INVALID` and the loaders' errors.
 */
export async function readRows(order: RowsOrder): Promise<Rows> {
  const { path, signature, target } = order
  const [input, ...others] = signature.inputs
  if (input === undefined) throw invalid('the model takes no inputs')
  if (/\.npz$/i.test(path)) {
    const arrays = await readNpz(path)
    if (signature.inputs.every(({ name }) => arrays[name] !== undefined)) return byName(order, arrays)
  }
  if (others.length > 0 || input.dtype !== 'float32') {
    const inputs = signature.inputs.map(({ name, dtype }) => `${name} (${dtype})`).join(', ')
    throw invalid(`${path}: the model takes ${inputs}, which needs an .npz with an array for each, by its name`)
  }
  const units = unitsOf(signature)
  const isClasses = units === 'index' || units === undefined || units > 1
  const classes = isClasses && (target?.length ?? 1) === 1 ? 'either' : false
  const row = input.shape.slice(1)
  // A folder of images has classes even where the model has none.
  const either = isTable(path) ? classes : 'either'
  const dataset = await loadRows({ ...order, row, classes: either, unlabelled: true })
  const inputs = { [input.name]: floats(dataset.inputs, dataset.scale ?? 1) }
  const { features } = dataset
  return { ...labelled(order, inputs, dataset.targets, dataset.classes), ...(features && { features }) }
}

const isTable = (path: string): boolean => /\.(csv|parquet|npz)$/i.test(path)

/** Classes that a model tells apart; `index` where it gives the class itself; undefined where the file leaves it open. */
function unitsOf({ outputs }: Signature): number | 'index' | undefined {
  const output = outputs.find(({ dtype }) => dtype !== 'string')
  if (output === undefined) return 1
  const sizes = output.shape.slice(1)
  if (/int/.test(output.dtype)) return sizes.every((size) => size === 1) ? 'index' : 1
  const wide = sizes.filter((size) => size !== 1)
  return wide.length > 1 ? 1 : wide.length === 0 ? 1 : (wide[0] ?? undefined)
}

function labelled(order: RowsOrder, inputs: Tensors, targets: Tensor, classes?: readonly string[]): Rows {
  const { path, signature, labels } = order
  if (!labels || elementCount(targets.shape) === 0) return { inputs, notes: [] }
  const units = unitsOf(signature)
  if (targets.dtype !== 'int32') return { inputs, targets, notes: [] }
  if (units === 1)
    return { inputs, notes: [`the labels of ${path} are not used: the model does not tell classes apart`] }
  const most = units === 'index' || units === undefined ? Number.POSITIVE_INFINITY : units
  if (classes !== undefined && classes.length > most)
    throw invalid(
      `${path}: ${classes.length} classes (${classes.slice(0, 10).join(', ')}), but the model gives ${most}`,
    )
  const beyond = targets.data.findIndex((label) => label < 0 || label >= most)
  if (beyond >= 0) throw invalid(`${path}: row ${beyond + 1} has a class that is not 0 to ${most - 1}`)
  return { inputs, targets, notes: [], ...(classes && { classes }) }
}

function byName(order: RowsOrder, arrays: Tensors): Rows {
  const { path, signature, scale, target } = order
  if (target !== undefined) throw invalid('--target is for .csv and .parquet')
  const issues: string[] = []
  const inputs: Record<string, Tensor> = {}
  for (const { name, dtype } of signature.inputs) {
    const array = arrays[name]!
    const made =
      dtype === 'float32' ? floats(array, scale ?? (array.dtype === 'uint8' ? 1 / 255 : 1)) : cast(array, dtype)
    if (made === undefined)
      issues.push(`${path}: array ${name} is ${array.dtype}, but the model takes ${dtype}, which does not hold it`)
    else inputs[name] = made
  }
  const counts = new Set(Object.values(inputs).map(({ shape }) => shape[0]))
  if (counts.size > 1) issues.push(`${path}: its arrays have different numbers of rows: ${[...counts].join(', ')}`)
  if (rowCount(inputs) === 0 && issues.length === 0) issues.push(`${path}: no rows`)
  if (issues.length > 0) throw invalid(...issues)
  const found = ['targets', 'y'].find((name) => arrays[name] !== undefined && inputs[name] === undefined)
  const given = found === undefined ? undefined : arrays[found]!
  if (given === undefined) return { inputs, notes: [] }
  if (given.shape[0] !== rowCount(inputs))
    throw invalid(`${path}: array ${found} has ${given.shape[0]} rows for ${rowCount(inputs)} rows of inputs`)
  const isIndex = /int/.test(given.dtype) && given.shape.length === 1 && unitsOf(signature) !== 1
  const targets = isIndex ? cast(given, 'int32') : floats(given, 1)
  if (targets === undefined) throw invalid(`${path}: array ${found} has classes that 32 bits do not hold`)
  return labelled(order, inputs, targets)
}

/** Whole numbers as another type of whole numbers; undefined where that is not possible, or one does not fit. */
function cast(tensor: Tensor, dtype: DataType): Tensor | undefined {
  if (tensor.dtype === dtype) return tensor
  if (!/int/.test(tensor.dtype) || tensor.dtype === 'string') return undefined
  const { shape } = tensor
  const numbers = tensor.data as ArrayLike<number | bigint>
  if (dtype === 'int64') return { dtype, shape, data: BigInt64Array.from(numbers as ArrayLike<bigint>, BigInt) }
  if (dtype === 'int32') {
    const data = Int32Array.from(numbers as ArrayLike<number>, Number)
    return data.every((value, at) => value === Number(numbers[at])) ? { dtype, shape, data } : undefined
  }
  return undefined
}

function floats(tensor: Tensor, scale: number): Tensor {
  const { dtype, shape } = tensor
  if (dtype === 'float32' && scale === 1) return tensor
  const numbers = tensor.data as ArrayLike<number | bigint>
  return { dtype: 'float32', shape, data: Float32Array.from(numbers as ArrayLike<number>, (v) => Number(v) * scale) }
}

/** Limits of each part; more would tell little more. */
export interface PartSizes {
  readonly calibration: number
  readonly heldOut: number
}

export interface QuantizeParts {
  /** Rows that value ranges, rounding and corrections are taken from. */
  readonly calibration: Rows
  /** Rows that say which layers to leave in float: calibration rows only where there are hardly any others. */
  readonly choosing: Rows
  /** Rows that say whether a file is good enough; no choice inside a recipe sees them. */
  readonly heldOut: Rows
}

/** Fewer say too little of which layer hurts. */
const FEWEST_CHOOSING = 100

/**
 * Shuffles by the seed and cuts: of one set of rows half is held out, with a second one that is held out as a whole. Throws
 * `DATA_INVALID` where there are too few.
 */
export function partsOf(
  given: Rows,
  held: Rows | undefined,
  sizes: PartSizes,
  seed: number,
  fixed: number,
): QuantizeParts {
  const rows = rowCount(given.inputs)
  const order = permutation(rows, seed)
  const most = held === undefined ? Math.floor(rows / 2) : rows
  const calibration = Math.min(sizes.calibration, most)
  const heldOut = Math.min(sizes.heldOut, held === undefined ? rows - most : rowCount(held.inputs))
  if (calibration < Math.max(1, fixed) || heldOut < 1)
    throw invalid(
      held === undefined
        ? `${rows} rows are too few to calibrate with one half and judge by the other: give more, or others with --data`
        : `${rows} rows are too few to calibrate with; the model takes ${Math.max(1, fixed)} at once`,
    )
  const rest = Math.min(most - calibration, sizes.heldOut)
  const at = rest < FEWEST_CHOOSING ? 0 : calibration
  return {
    calibration: pick(given, order.subarray(0, calibration)),
    choosing: pick(given, order.subarray(at, rest < FEWEST_CHOOSING ? calibration : calibration + rest)),
    heldOut:
      held === undefined
        ? pick(given, order.subarray(rows - heldOut))
        : pick(held, permutation(rowCount(held.inputs), seed).subarray(0, heldOut)),
  }
}

export const fewestRows = (signature: Signature): number => fixedRows(signature) ?? 1

function pick(from: Rows, rows: ArrayLike<number>): Rows {
  const { targets } = from
  return { ...from, inputs: pickRows(from.inputs, rows), ...(targets && { targets: takeRows(targets, rows) }) }
}
