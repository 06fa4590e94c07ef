import type { LayerType, ResolvedLayer } from './schema.js'
import type { Shape, ShapeOf, ShapeRule, ShapeRules } from './shapes.js'

const last = (shape: Shape): number => shape.at(-1) ?? 1
const count = (shape: Shape): number => shape.reduce((product, size) => product * size, 1)
const same: ShapeRule<LayerType> = (_, shape) => ({ shape })

/** Sizes that broadcast: equal, or 1. */
const merge: ShapeRule<LayerType> = (_, first, all) => {
  if (all.length < 2) return 'at least two inputs'
  if (all.some((shape) => shape.length !== first.length)) return 'inputs of as many axes each'
  const shape = first.map((_, axis) => Math.max(...all.map((other) => other[axis] ?? 1)))
  const fits = all.every((other) => other.every((size, axis) => size === 1 || size === shape[axis]))
  return fits ? { shape } : 'inputs of one shape (an axis may be 1)'
}

const two: ShapeRule<LayerType> = (layer, first, all) =>
  all.length === 2 ? merge(layer, first, all) : 'exactly two inputs'

function concatenated(axis: number, all: readonly Shape[]): ShapeOf | string {
  const first = all[0] ?? []
  const at = axis < 0 ? first.length + axis : axis - 1
  if (all.length < 2) return 'at least two inputs'
  if (at < 0 || at >= first.length) return `inputs that have axis ${axis} (0 is the batch)`
  const alike = all.every(
    (shape) => shape.length === first.length && shape.every((size, place) => place === at || size === first[place]),
  )
  if (!alike) return `inputs alike but for axis ${axis}`
  return { shape: first.map((size, place) => (place === at ? all.reduce((sum, s) => sum + (s[at] ?? 0), 0) : size)) }
}

function reshaped(target: readonly number[], shape: Shape): ShapeOf | string {
  const known = count(target.filter((size) => size !== -1))
  const free = target.filter((size) => size === -1).length
  const left = count(shape) / known
  if (free > 1) return 'a targetShape with one -1 at most'
  if (free === 1 ? !Number.isInteger(left) : left !== 1)
    return `${known}${free === 1 ? ' times some' : ''} numbers a row`
  return { shape: target.map((size) => (size === -1 ? left : size)) }
}

type Gated = Pick<ResolvedLayer<'lstm' | 'gru'>, 'units' | 'useBias' | 'returnSequences'>

/** Gates times units, each with a kernel by the inputs, one by the state, and `biases` vectors. */
function sequence(layer: Gated, shape: Shape, gates: number, biases: number): ShapeOf | string {
  if (shape.length !== 2) return 'rows [steps, features]'
  const { units } = layer
  return {
    shape: layer.returnSequences ? [shape[0] ?? 1, units] : [units],
    parameters: gates * units * (last(shape) + units + (layer.useBias ? biases : 0)),
  }
}

const lstm: ShapeRule<'lstm'> = (layer, shape) => sequence(layer, shape, 4, 1)
const gru: ShapeRule<'gru'> = (layer, shape) => sequence(layer, shape, 3, layer.resetAfter ? 2 : 1)

const bidirectional: ShapeRule<'bidirectional'> = ({ layer, mergeMode }, shape) => {
  const one = layer.type === 'lstm' ? sequence(layer, shape, 4, 1) : sequence(layer, shape, 3, layer.resetAfter ? 2 : 1)
  if (typeof one === 'string') return one
  const width = last(one.shape) * (mergeMode === 'concat' ? 2 : 1)
  return { shape: [...one.shape.slice(0, -1), width], parameters: 2 * (one.parameters ?? 0) }
}

const attention: ShapeRule<'multiHeadAttention'> = (layer, query, all) => {
  const [, value = query, key = value] = all
  if (all.length > 3) return 'at most three inputs: query, value and key'
  if ([query, value, key].some((shape) => shape.length !== 2)) return 'inputs [steps, features]'
  if (value[0] !== key[0]) return 'as many steps in the value as in the key'
  const [keys, values] = [layer.numHeads * layer.keyDim, layer.numHeads * (layer.valueDim ?? layer.keyDim)]
  const biases = layer.useBias ? 2 * keys + values + last(query) : 0
  const kernels = keys * (last(query) + last(key)) + values * (last(value) + last(query))
  return { shape: query, parameters: kernels + biases }
}

const affine = (layer: { center: boolean; scale: boolean }, shape: Shape): ShapeOf => ({
  shape,
  parameters: last(shape) * (Number(layer.center) + Number(layer.scale)),
})

/** A number for each column of numbers; of a category its one-hot numbers, or its index. */
const columns: ShapeRule<'columns'> = ({ columns: schema }, shape) => {
  const features = schema.features ?? []
  if (shape.length !== 1 || shape[0] !== features.length) return `rows [${features.length}], a number for each column`
  let width = 0
  for (const name of features) {
    const column = schema.columns[name]
    if (column?.type === 'category') {
      if (column.values === undefined) return `the values of column ${name} listed: its width follows from them`
      width += column.oneHot ? column.values.length + Number(column.unknown === 'other') : 1
    } else width += 1
  }
  return { shape: [width] }
}

/** Layers that are not about images. */
export const shapesOfCore = {
  dense: ({ units, useBias }, shape) => ({
    shape: [...shape.slice(0, -1), units],
    parameters: units * (last(shape) + Number(useBias)),
  }),
  activation: same,
  dropout: same,
  embedding: ({ inputDim, outputDim }, shape) => ({
    shape: [...shape, outputDim],
    parameters: inputDim * outputDim,
  }),
  flatten: (_, shape) => ({ shape: [count(shape)] }),
  reshape: ({ targetShape }, shape) => reshaped(targetShape, shape),
  permute: ({ dims }, shape) =>
    dims.length === shape.length && shape.every((_, axis) => dims.includes(axis + 1))
      ? { shape: dims.map((axis) => shape[axis - 1] ?? 1) }
      : `dims with each of 1 to ${shape.length} once`,
  batchNormalization: affine,
  layerNormalization: affine,
  normalization: same,
  rescaling: same,
  columns,
  lstm,
  gru,
  bidirectional,
  multiHeadAttention: attention,
  add: merge,
  subtract: two,
  multiply: merge,
  average: merge,
  maximum: merge,
  minimum: merge,
  concatenate: ({ axis }, _, all) => concatenated(axis, all),
} satisfies Partial<ShapeRules<LayerType>>
