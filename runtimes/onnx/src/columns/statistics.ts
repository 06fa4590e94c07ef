import type { Column, Columns } from '@tideway/core'

/** What the training rows showed of a column of numbers or times; missing values are left out. */
export interface NumberStatistics {
  readonly name: string
  readonly kind: 'number'
  readonly count: number
  readonly missing: number
  readonly mean: number
  /** Of the population: divided by the count, as Keras's `Normalization` and scikit-learn's `StandardScaler` do. */
  readonly std: number
  readonly min: number
  readonly max: number
  /** The middle value, or the mean of the two in the middle. */
  readonly median: number
}

/** What the training rows showed of a category: rows by index. Its length is the size of the vocabulary. */
export interface CategoryStatistics {
  readonly name: string
  readonly kind: 'category'
  readonly counts: readonly number[]
  readonly missing: number
  /** Rows whose value is outside of the vocabulary. */
  readonly other: number
}

/** Plain JSON with finite numbers only; one entry for each column of the input, in its order. */
export type ColumnStatistics = readonly (NumberStatistics | CategoryStatistics)[]

/** A column's schema beside its statistics. */
export type FittedColumn =
  | { readonly column: Exclude<Column, { type: 'category' }>; readonly fitted: NumberStatistics; readonly at: number }
  | { readonly column: Extract<Column, { type: 'category' }>; readonly fitted: CategoryStatistics; readonly at: number }

export type FittedNumber = Extract<FittedColumn, { fitted: NumberStatistics }>
export type FittedCategory = Extract<FittedColumn, { fitted: CategoryStatistics }>

export const isNumber = (item: FittedColumn): item is FittedNumber => item.fitted.kind === 'number'
export const isCategory = (item: FittedColumn): item is FittedCategory => item.fitted.kind === 'category'

/** Pairs schema and statistics by the order of the input; what does not fit comes back as issues. */
export function pairColumns(
  { columns, features }: Columns,
  statistics: ColumnStatistics,
): { readonly pairs: FittedColumn[]; readonly issues: string[] } {
  const pairs: FittedColumn[] = []
  const issues: string[] = []
  if (features.length !== statistics.length)
    issues.push(`${features.length} columns, but statistics of ${statistics.length}`)
  for (const [at, name] of features.entries()) {
    const [column, fitted] = [columns[name], statistics[at]]
    if (column === undefined || fitted === undefined || fitted.name !== name)
      issues.push(`column ${name}: place ${at} has statistics of ${fitted?.name ?? 'nothing'}`)
    else if (column.type === 'category' && fitted.kind === 'category') pairs.push({ column, fitted, at })
    else if (column.type !== 'category' && fitted.kind === 'number') pairs.push({ column, fitted, at })
    else issues.push(`column ${name}: it is a ${column.type}, its statistics are of a ${fitted.kind}`)
  }
  return { pairs, issues }
}

/** What a missing value becomes; NaN where the schema allows none, so that it stays visible. */
export function fillOf({ column, fitted }: FittedColumn): number {
  if (fitted.kind === 'number') {
    if (column.impute === 'mean') return fitted.mean
    if (column.impute === 'median') return fitted.median
    return column.impute === 'constant' ? Number(column.fill) : Number.NaN
  }
  // The first of the commonest, so that ties do not depend on anything else.
  if (column.impute === 'mostFrequent') return fitted.counts.indexOf(fitted.counts.reduce((a, b) => Math.max(a, b), 0))
  if (column.impute === 'constant' && column.type === 'category')
    return column.values?.indexOf(column.fill ?? '') ?? Number.NaN
  return Number.NaN
}

/** `(value - offset) * factor`; a column that never changes is only moved. */
export function scalingOf({ column, fitted }: FittedNumber): { readonly offset: number; readonly factor: number } {
  if (column.scale === 'standard') return { offset: fitted.mean, factor: fitted.std > 0 ? 1 / fitted.std : 1 }
  const span = fitted.max - fitted.min
  if (column.scale === 'minMax') return { offset: fitted.min, factor: span > 0 ? 1 / span : 1 }
  return { offset: 0, factor: 1 }
}
