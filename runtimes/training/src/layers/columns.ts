import {
  type CategoryColumn,
  type Column,
  type Columns,
  INPUT,
  type NetworkPlan,
  type ResolvedLayer,
  type Tensor,
} from '@tideway/core'
import { fillOf, fitColumns, floats, isCategory, isNumber, pairColumns, scalingOf, type Value } from '@tideway/onnx'
import type { LayerContext } from './context.js'
import { vector } from './dense.js'
import type { LayerRules, WeightSpec } from './rule.js'

type Layer = ResolvedLayer<'columns'>
interface Placed<Of extends Column> {
  readonly name: string
  readonly column: Of
  /** Its place in the rows. */
  readonly at: number
}

/** No index of a category: it stands for one that no training row had. */
const NONE = -0.5

const columnsOfLayer = ({ columns }: Layer): Columns => columns as unknown as Columns

function placed(layer: Layer): { numbers: Placed<Column>[]; categories: Placed<CategoryColumn>[] } {
  const { columns, features } = columnsOfLayer(layer)
  const numbers: Placed<Column>[] = []
  const categories: Placed<CategoryColumn>[] = []
  for (const [at, name] of features.entries()) {
    const column = columns[name]
    if (column?.type === 'category') categories.push({ name, column, at })
    else if (column !== undefined) numbers.push({ name, column, at })
  }
  return { numbers, categories }
}

function statistics(layer: Layer): WeightSpec[] {
  const { numbers, categories } = placed(layer)
  const zeros = (part: string, length: number) => vector(part, length, { type: 'zeros' })
  return [
    ...(numbers.length > 0
      ? [
          zeros('fill', numbers.length),
          zeros('offset', numbers.length),
          vector('factor', numbers.length, { type: 'ones' }),
        ]
      : []),
    ...categories.flatMap(({ column, at }) => [
      zeros(`category_${at}_fill`, 1),
      zeros(`category_${at}_known`, column.values?.length ?? 0),
    ]),
  ]
}

/** Which numbers of a row may be missing: those that every layer behind the input fills. */
export function mayMissIn({ layers }: NetworkPlan): (place: number) => boolean {
  const behind = layers.filter(({ layer }) => layer.inputs.includes(INPUT))
  const filling = behind.flatMap(({ layer }) => (layer.type === 'columns' ? [columnsOfLayer(layer)] : []))
  if (filling.length < behind.length) return () => false
  return (place) => filling.every(({ columns, features }) => columns[features[place] ?? '']?.impute !== 'none')
}

/** The values that `columns` layers keep, fitted on the training rows. Throws `COLUMNS_INVALID` naming every column. */
export function fitColumnLayers({ layers }: NetworkPlan, inputs: Tensor): ReadonlyMap<string, Float32Array> {
  const values = new Map<string, Float32Array>()
  for (const { layer } of layers) {
    if (layer.type !== 'columns') continue
    const columns = columnsOfLayer(layer)
    const { pairs } = pairColumns(columns, fitColumns(inputs, columns))
    const keep = (part: string, numbers: readonly number[]) =>
      values.set(`${layer.name}/${part}`, Float32Array.from(numbers))
    // A column that lets nothing be missing has no fill; the graph makes it NaN again.
    const finite = (fill: number) => (Number.isNaN(fill) ? 0 : fill)
    const numbers = pairs.filter(isNumber)
    const fills = numbers.map((item) => finite(fillOf(item)))
    const scalings = numbers.map(scalingOf)
    keep('fill', fills)
    keep(
      'offset',
      scalings.map(({ offset }) => offset),
    )
    keep(
      'factor',
      scalings.map(({ factor }) => factor),
    )
    for (const item of pairs.filter(isCategory)) {
      const known = item.fitted.counts.map((count, index) => (count > 0 ? index : NONE))
      keep(`category_${item.at}_fill`, [finite(fillOf(item))])
      keep(`category_${item.at}_known`, known)
    }
  }
  return values
}

type Context = LayerContext<'columns'>

const constant = (c: Context, values: readonly number[]): Value =>
  c.g.constant(floats('float32', values, [values.length]))

/** Missing values filled, but for columns that allow none: there NaN stays visible. */
function filled(c: Context, part: string, value: Value, fill: Value, columns: readonly Column[]): Value {
  if (columns.every(({ impute }) => impute === 'none')) return value
  const visible = columns.map(({ impute }) => (impute === 'none' ? Number.NaN : 0))
  const by = visible.some(Number.isNaN) ? c.op(`${part}_fill`, 'Add', [fill, constant(c, visible)]) : fill
  return c.op(`${part}_filled`, 'Where', [c.op(`${part}_missing`, 'IsNaN', [value]), by, value])
}

function numbersPart(c: Context, rows: Value, numbers: readonly Placed<Column>[]): Value {
  const places = c.ints(numbers.map(({ at }) => at))
  const raw = c.op('numbers', 'Gather', [rows, places], { axis: 1n })
  const columns = numbers.map(({ column }) => column)
  const value = filled(c, 'numbers', raw, c.statistic('fill'), columns)
  return c.op('scaled', 'Mul', [c.op('moved', 'Sub', [value, c.statistic('offset')]), c.statistic('factor')])
}

function categoryPart(c: Context, rows: Value, { column, at }: Placed<CategoryColumn>): Value {
  const part = `category_${at}`
  const raw = c.op(part, 'Gather', [rows, c.ints([at])], { axis: 1n })
  const value = filled(c, part, raw, c.statistic(`${part}_fill`), [column])
  if (!column.oneHot && column.unknown === 'error') return value
  const equal = c.op(`${part}_equal`, 'Equal', [value, c.statistic(`${part}_known`)])
  // ONNX's TensorProto.DataType: 1 is float32.
  const matches = c.op(`${part}_matches`, 'Cast', [equal], { to: 1n })
  if (column.unknown === 'error') return matches
  const held = c.op(`${part}_held`, 'ReduceSum', [matches, c.ints([1])], { keepdims: 1n })
  const one = constant(c, [1])
  if (column.oneHot)
    return c.op(`${part}_one_hot`, 'Concat', [matches, c.op(`${part}_other`, 'Sub', [one, held])], { axis: 1n })
  const isKnown = c.op(`${part}_is_known`, 'Equal', [held, one])
  return c.op(`${part}_index`, 'Where', [isKnown, value, constant(c, [column.values?.length ?? 0])])
}

/** Raw columns to numbers as `columnTransform` of @tideway/onnx makes them, with the fitted values as statistics. */
export const columnRules: LayerRules<'columns'> = {
  columns: {
    statistics,
    forward: (c) => {
      const rows = c.last().value
      const { numbers, categories } = placed(c.layer)
      const parts = [
        ...(numbers.length > 0 ? [numbersPart(c, rows, numbers)] : []),
        ...categories.map((category) => categoryPart(c, rows, category)),
      ]
      return c.step('columns', 'last', 'Concat', parts, { axis: 1n })
    },
  },
}
