import { type CategoryColumn, type Columns, elementCount, type Tensor } from '@tideway/core'
import { errors } from '../errors.js'
import type { CategoryStatistics, ColumnStatistics, NumberStatistics } from './statistics.js'

/** A vocabulary as an index claims it, where the schema does not give one. */
const MOST_CATEGORIES = 65_536

/**
 * Fits scaling, imputation and vocabularies, in float64. `inputs` must hold the training rows only: what validation and
 * test rows show must not reach the model. Throws `COLUMNS_INVALID` naming every column that cannot be fitted.
 *
 * @param inputs float32 or float64 [rows, features]; NaN is missing; a category is its index, any other index "other"
 *
 * @example
 * const statistics = fitColumns(trainingInputs, table.schema)
 * const y = columnTransform(g, g.input('columns', 'float32', [null, 6]), table.schema, statistics)
 */
export function fitColumns(inputs: Tensor, columns: Columns): ColumnStatistics {
  const { features } = columns
  const [rows = 0, width] = inputs.shape
  if ((inputs.dtype !== 'float32' && inputs.dtype !== 'float64') || inputs.shape.length !== 2)
    throw errors.COLUMNS_INVALID({
      issues: [`inputs are ${inputs.dtype} [${inputs.shape.join(', ')}], not float [rows, columns]`],
    })
  if (width !== features.length || elementCount(inputs.shape) !== inputs.data.length)
    throw errors.COLUMNS_INVALID({ issues: [`rows of ${width} numbers for ${features.length} columns`] })
  const issues: string[] = []
  const statistics = features.map((name, at) => {
    const column = columns.columns[name]
    const values = columnAt(inputs.data, at, features.length, rows)
    const problem = (what: string) => issues.push(`column ${name}: ${what}`)
    if (column?.type === 'category') return fitCategory(name, column, values, problem)
    const fitted = fitNumber(name, values, problem)
    if (fitted.missing > 0 && column?.impute === 'none')
      problem(`${fitted.missing} values are missing and impute is 'none'`)
    return fitted
  })
  if (issues.length > 0) throw errors.COLUMNS_INVALID({ issues })
  return statistics
}

function columnAt(data: Float32Array | Float64Array, at: number, width: number, rows: number): Float64Array {
  const column = new Float64Array(rows)
  for (let row = 0; row < rows; row++) column[row] = data[row * width + at] as number
  return column
}

type Problem = (what: string) => void

function fitNumber(name: string, values: Float64Array, problem: Problem): NumberStatistics {
  const held = values.filter((value) => !Number.isNaN(value)).sort()
  const count = held.length
  const [min, max] = [held[0] ?? 0, held.at(-1) ?? 0]
  if (count === 0) problem('no training row has a value')
  if (!Number.isFinite(min) || !Number.isFinite(max)) problem('a value is infinite')
  let [mean, squares] = [0, 0]
  // Welford's moments: no loss of digits when the mean is large against the spread.
  for (const [at, value] of held.entries()) {
    const away = value - mean
    mean += away / (at + 1)
    squares += away * (value - mean)
  }
  const std = count === 0 || min === max ? 0 : Math.sqrt(squares / count)
  const median = ((held[(count - 1) >> 1] ?? 0) + (held[count >> 1] ?? 0)) / 2
  return { name, kind: 'number', count, missing: values.length - count, mean, std, min, max, median }
}

function fitCategory(name: string, column: CategoryColumn, values: Float64Array, problem: Problem): CategoryStatistics {
  const size = column.values?.length
  const counts: number[] = Array.from({ length: size ?? 0 }, () => 0)
  let [missing, other] = [0, 0]
  for (const value of values) {
    if (Number.isNaN(value)) missing++
    else if (Number.isInteger(value) && value >= 0 && value < (size ?? MOST_CATEGORIES)) {
      while (counts.length <= value) counts.push(0)
      counts[value] = (counts[value] ?? 0) + 1
    } else other++
  }
  if (other > 0 && column.unknown === 'error') problem(`${other} rows have no category of the vocabulary`)
  if (missing > 0 && column.impute === 'none') problem(`${missing} values are missing and impute is 'none'`)
  if (column.impute === 'constant' && size === undefined) problem("impute 'constant' needs the values listed")
  if (counts.every((count) => count === 0)) problem('no training row has a value')
  return { name, kind: 'category', counts, missing, other }
}
