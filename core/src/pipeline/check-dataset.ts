import { elementCount } from '../contracts/tensor.js'
import { errors } from '../errors.js'
import type { Dataset } from './dataset.js'
import type { LossConfig } from './training.js'

/** Rows of each class. */
export interface ClassCounts {
  /** By class index; as long as the names of the classes, or the largest index plus one. */
  readonly counts: readonly number[]
  /** Classes without a row, by name where there are names. */
  readonly empty: readonly string[]
  /** Rows of the largest class for each row of the smallest that has any. */
  readonly imbalance: number
}

const ISSUES = 20

/**
 * Counts the rows of each class. Throws `DATASET_INVALID` when the targets are no class indices, naming rows whose
 * index is out of range.
 *
 * @example
 * classCounts(dataset) // { counts: [980, 1135], empty: [], imbalance: 1.158 }
 */
export function classCounts(dataset: Dataset): ClassCounts {
  const { counts, issues } = countClasses(dataset)
  if (issues.length > 0) throw errors.DATASET_INVALID({ issues })
  const held = counts.filter((count) => count > 0)
  return {
    counts,
    empty: counts.flatMap((count, index) => (count === 0 ? [dataset.classes?.[index] ?? `class ${index}`] : [])),
    imbalance: held.length === 0 ? 1 : Math.max(...held) / Math.min(...held),
  }
}

/**
 * Refuses data that no training can use, before the first step: no rows, tensors that disagree, labels out of range,
 * one class only, targets that are not finite. Targets are left alone for a loss that does not use them
 * (`reconstruction`). Throws `DATASET_INVALID` naming everything that is wrong.
 */
export function checkDataset(dataset: Dataset, { loss }: { readonly loss?: LossConfig } = {}): void {
  const { inputs, targets, features, image } = dataset
  const issues: string[] = []
  const rows = inputs.shape[0] ?? 0
  const fits = [inputs, targets].every(({ shape, data }) => elementCount(shape) === data.length)
  if (!fits) issues.push('inputs or targets do not have as many values as their shape says')
  if (inputs.dtype !== 'float32' && inputs.dtype !== 'uint8')
    issues.push(`inputs are ${inputs.dtype}, not float32 or uint8`)
  if (rows === 0) issues.push('there are no rows')
  if (targets.shape[0] !== rows) issues.push(`${rows} rows of inputs, but ${targets.shape[0] ?? 0} of targets`)
  if (features !== undefined && (inputs.shape.length !== 2 || inputs.shape[1] !== features.length))
    issues.push(`${features.length} names of features for rows of shape [${inputs.shape.slice(1).join(', ')}]`)
  if (image !== undefined && elementCount(image) * rows !== elementCount(inputs.shape))
    issues.push(`images of [${image.join(', ')}] for rows of shape [${inputs.shape.slice(1).join(', ')}]`)
  if ((typeof loss === 'string' ? loss : loss?.type) !== 'reconstruction')
    issues.push(...(targets.dtype === 'float32' ? valueIssues(targets.data) : classIssues(dataset)))
  if (issues.length > 0) throw errors.DATASET_INVALID({ issues })
}

function classIssues(dataset: Dataset): string[] {
  const { counts, issues } = countClasses(dataset)
  const held = counts.flatMap((count, index) => (count > 0 ? [index] : []))
  const [only] = held
  if (held.length === 1 && issues.length === 0)
    issues.push(`all rows are of one class, ${dataset.classes?.[only ?? 0] ?? only}: there is nothing to tell apart`)
  return issues
}

function valueIssues(values: Float32Array): string[] {
  const bad = values.reduce((count, value) => (Number.isFinite(value) ? count : count + 1), 0)
  return bad > 0
    ? [`${bad} targets are not finite, the first in place ${values.findIndex((v) => !Number.isFinite(v))}`]
    : []
}

/** The most classes that labels without names may speak of: one huge label must not make a huge table. */
const MOST_CLASSES = 65_536

function countClasses({ targets, classes }: Dataset): { counts: number[]; issues: string[] } {
  if ((targets.dtype !== 'int32' && targets.dtype !== 'uint8') || targets.shape.length !== 1)
    return {
      counts: [],
      issues: [`targets are ${targets.dtype} [${targets.shape.join(', ')}], not int32 or uint8 [rows]`],
    }
  const size = classes?.length ?? MOST_CLASSES
  const counts: number[] = Array.from({ length: classes?.length ?? 0 }, () => 0)
  const bad: number[] = []
  let badRows = 0
  for (const [row, label] of targets.data.entries()) {
    if (label >= 0 && label < size) {
      while (counts.length <= label) counts.push(0)
      counts[label] = (counts[label] ?? 0) + 1
    } else {
      badRows++
      if (bad.length < ISSUES) bad.push(row)
    }
  }
  const issues = bad.map((row) => `row ${row}: its label is not 0 to ${size - 1}`)
  if (badRows > ISSUES) issues.push(`${badRows} rows in all have a label out of range`)
  return { counts, issues }
}
