import type { Columns } from '@tideway/core'
import type { GraphBuilder } from '../build/graph-builder.js'
import { floats, int64s, isFloat, type Value } from '../build/value.js'
import { errors } from '../errors.js'
import { ELEMENT_TYPE } from '../format/types.js'
import {
  type ColumnStatistics,
  type FittedCategory,
  type FittedNumber,
  fillOf,
  isCategory,
  isNumber,
  pairColumns,
  scalingOf,
} from './statistics.js'

/**
 * Adds what turns raw columns into numbers for a network: missing values filled, numbers scaled, categories one-hot.
 * Columns of numbers come first, then the categories, each in the input's order: `columnNames` names them. All columns
 * of numbers share five nodes. A missing number whose column has impute 'none' stays NaN; a category that is missing,
 * outside of the vocabulary, or that no training row had, gives zeros, or the last number of its column where `unknown`
 * is 'other'. Throws `COLUMNS_INVALID` when schema, statistics and input do not fit.
 *
 * @param x float [rows, features]: raw numbers, NaN for missing, a category as its index
 * @returns float [rows, `columnNames(...).length`]
 */
export function columnTransform(g: GraphBuilder, x: Value, columns: Columns, statistics: ColumnStatistics): Value {
  const { pairs, issues } = pairColumns(columns, statistics)
  if (x.shape.length !== 2 || x.shape[1] !== columns.features.length || !isFloat(x.dtype))
    issues.push(`"${x.name}" is ${x.dtype} [${x.shape.join(', ')}], not float [rows, ${columns.features.length}]`)
  if (issues.length > 0) throw errors.COLUMNS_INVALID({ issues })
  const numbers = pairs.filter(isNumber)
  const parts = [
    ...(numbers.length > 0 ? [numberPart(g, x, numbers)] : []),
    ...pairs.filter(isCategory).map((item) => categoryPart(g, x, item)),
  ]
  const [only] = parts
  return parts.length === 1 && only !== undefined ? only : g.op('Concat', parts, { axis: 1n })
}

/** A name for each number that `columnTransform` gives: `temperature`, `kind=pump`, `kind=other`. */
export function columnNames(columns: Columns, statistics: ColumnStatistics): readonly string[] {
  const { pairs, issues } = pairColumns(columns, statistics)
  if (issues.length > 0) throw errors.COLUMNS_INVALID({ issues })
  return [
    ...pairs.filter(isNumber).map(({ fitted }) => fitted.name),
    ...pairs.filter(isCategory).flatMap(({ column, fitted: { name, counts } }) => {
      if (!column.oneHot) return [name]
      const names = counts.map((_, index) => `${name}=${column.values?.[index] ?? index}`)
      return column.unknown === 'other' ? [...names, `${name}=other`] : names
    }),
  ]
}

function numberPart(g: GraphBuilder, x: Value, items: readonly FittedNumber[]): Value {
  const constant = (values: readonly number[]) => g.constant(floats(x.dtype, values, [values.length]))
  let value = pick(
    g,
    x,
    items.map(({ at }) => at),
  )
  const fills = items.map(fillOf)
  if (!fills.every(Number.isNaN)) value = filled(g, value, constant(fills))
  const scalings = items.map(scalingOf)
  if (scalings.some(({ offset }) => offset !== 0))
    value = g.op('Sub', [value, constant(scalings.map(({ offset }) => offset))])
  if (scalings.some(({ factor }) => factor !== 1))
    value = g.op('Mul', [value, constant(scalings.map(({ factor }) => factor))])
  return value
}

function categoryPart(g: GraphBuilder, x: Value, item: FittedCategory): Value {
  const { column, fitted, at } = item
  const constant = (values: readonly number[]) => g.constant(floats(x.dtype, values, [values.length]))
  const fill = fillOf(item)
  const raw = pick(g, x, [at])
  const value = Number.isNaN(fill) ? raw : filled(g, raw, constant([fill]))
  if (!column.oneHot && column.unknown === 'error') return value
  // Nothing equals NaN: a category that no training row had is none of the known ones.
  const known = constant(fitted.counts.map((count, index) => (count > 0 ? index : Number.NaN)))
  const matches = g.op('Cast', [g.op('Equal', [value, known])], { to: BigInt(ELEMENT_TYPE[x.dtype]) })
  if (column.unknown === 'error') return matches
  const held = g.op('ReduceSum', [matches, g.constant(int64s([1]))], { keepdims: 1n })
  if (column.oneHot) return g.op('Concat', [matches, g.op('Sub', [constant([1]), held])], { axis: 1n })
  return g.op('Where', [g.op('Equal', [held, constant([1])]), value, constant([fitted.counts.length])])
}

const filled = (g: GraphBuilder, value: Value, fill: Value): Value =>
  g.op('Where', [g.op('IsNaN', [value]), fill, value])

const pick = (g: GraphBuilder, x: Value, places: readonly number[]): Value =>
  x.shape[1] === places.length ? x : g.op('Gather', [x, g.constant(int64s(places))], { axis: 1n })
