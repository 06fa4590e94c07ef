import type { Tensor } from '@tideway/core'
import type { GraphBuilder } from '../build/graph-builder.js'
import type { Value } from '../build/value.js'
import { ELEMENT_TYPE } from '../format/types.js'
import { typed } from './emission.js'
import type { ImportedNode } from './model.js'

/** Larger tensors are data: the engine computes with them. */
const MOST = 1024

interface Known {
  readonly items: readonly number[]
  readonly shape: readonly number[]
}

/** The items of a result of this shape; undefined where the rule does not know. */
type Fold = (inputs: readonly Known[], shape: readonly number[], node: ImportedNode) => number[] | undefined

/** Element by element, with numpy's broadcasting. */
const each =
  (rule: (...items: readonly number[]) => number): Fold =>
  (inputs, shape) => {
    const steps = inputs.map((input) => stepsOf(input.shape, shape))
    const count = shape.reduce((product, size) => product * size, 1)
    return Array.from({ length: count }, (_, at) => {
      const places = steps.map(() => 0)
      for (let axis = shape.length - 1, rest = at; axis >= 0; axis--) {
        const size = shape[axis] ?? 1
        for (const [input, step] of steps.entries())
          places[input] = (places[input] ?? 0) + (rest % size) * (step[axis] ?? 0)
        rest = Math.floor(rest / size)
      }
      return rule(...inputs.map((input, which) => input.items[places[which] ?? 0] ?? 0))
    })
  }

/** How far apart neighbours of an input lie along each axis of the result: 0 where it is repeated. */
function stepsOf(from: readonly number[], to: readonly number[]): number[] {
  const steps = to.map(() => 0)
  let step = 1
  for (let axis = from.length - 1; axis >= 0; axis--) {
    const size = from[axis] ?? 1
    if (size !== 1) steps[axis + to.length - from.length] = step
    step *= size
  }
  return steps
}

/** The same items in another shape. */
const moved: Fold = ([input]) => (input === undefined ? undefined : [...input.items])

const joined: Fold = (inputs, shape) => (shape.length === 1 ? inputs.flatMap(({ items }) => items) : undefined)

const gathered: Fold = ([from, at]) =>
  from?.shape.length === 1 ? at?.items.map((index) => from.items.at(index) ?? 0) : undefined

/** The sign of the divisor, or of the dividend where `fmod` is set. */
const modulo: Fold = (inputs, shape, node) => {
  const truncated = node.attributes['fmod'] === 1n
  return each((a = 0, b = 1) => (truncated ? a % b : a - Math.floor(a / b) * b))(inputs, shape, node)
}

const bit = (value: boolean): number => (value ? 1 : 0)

/** What a value becomes in another type: towards zero for integers. */
const cast: Fold = ([input], _, { attributes }) => {
  const to = typeof attributes['to'] === 'bigint' ? Number(attributes['to']) : 0
  const floats = to === ELEMENT_TYPE.float32 || to === ELEMENT_TYPE.float64
  if (to === ELEMENT_TYPE.bool) return input?.items.map((item) => bit(item !== 0))
  return input?.items.map((item) => (floats ? item : Math.trunc(item)))
}

/** Exporters compute shapes, scales and axes in the graph from numbers that are constant: what these operators give. */
const FOLDS: Readonly<Record<string, Fold>> = {
  Abs: each((a = 0) => Math.abs(a)),
  Add: each((a = 0, b = 0) => a + b),
  And: each((a = 0, b = 0) => bit(a === 1 && b === 1)),
  Cast: cast,
  Ceil: each((a = 0) => Math.ceil(a)),
  Concat: joined,
  Equal: each((a = 0, b = 0) => bit(a === b)),
  Expand: (inputs, shape, node) => each((a = 0) => a)(inputs.slice(0, 1), shape, node),
  Floor: each((a = 0) => Math.floor(a)),
  Gather: gathered,
  Greater: each((a = 0, b = 0) => bit(a > b)),
  GreaterOrEqual: each((a = 0, b = 0) => bit(a >= b)),
  Less: each((a = 0, b = 0) => bit(a < b)),
  LessOrEqual: each((a = 0, b = 0) => bit(a <= b)),
  Max: each((...all) => Math.max(...all)),
  Min: each((...all) => Math.min(...all)),
  Mod: modulo,
  Mul: each((a = 0, b = 0) => a * b),
  Neg: each((a = 0) => -a),
  Not: each((a = 0) => bit(a === 0)),
  Or: each((a = 0, b = 0) => bit(a === 1 || b === 1)),
  Reshape: moved,
  Squeeze: moved,
  Sub: each((a = 0, b = 0) => a - b),
  Unsqueeze: moved,
  Where: each((which, yes = 0, no = 0) => (which === 1 ? yes : no)),
}

/** Types whose arithmetic is that of JavaScript's numbers, for numbers of the size of shapes. */
const EXACT = new Set(['int64', 'int32', 'bool', 'float32', 'float64'])

/**
 * The constant that a node gives when all that it takes is constant and small: `result` is the value that inference
 * gave for it. Undefined where the table does not know.
 */
export function folded(
  g: GraphBuilder,
  node: ImportedNode,
  inputs: readonly (Value | undefined)[],
  result: Value,
): Value | undefined {
  const fold = Object.hasOwn(FOLDS, node.opType) ? FOLDS[node.opType] : undefined
  const shape = result.shape.map(Number)
  if (fold === undefined || !EXACT.has(result.dtype) || !shape.every(Number.isInteger)) return undefined
  if (shape.reduce((product, size) => product * size, 1) > MOST) return undefined
  const known = inputs.map((value) => knownOf(value === undefined ? undefined : g.tensorOf(value.name)))
  if (known.length === 0 || !known.every((item) => item !== undefined)) return undefined
  const items = fold(known, shape, node)
  if (items === undefined || !items.every((item) => isExact(item, result.dtype))) return undefined
  const tensor = typed(result.dtype, items, shape)
  return tensor === undefined ? undefined : g.constant(tensor)
}

/** Integers beyond 2^53 ("to the end") are moved and compared, not computed with. */
const isExact = (item: number, dtype: Value['dtype']): boolean => dtype.startsWith('float') || Number.isInteger(item)

function knownOf(tensor: Tensor | undefined): Known | undefined {
  if (tensor === undefined || tensor.data.length > MOST || !EXACT.has(tensor.dtype)) return undefined
  return { items: Array.from(tensor.data as ArrayLike<unknown>, Number), shape: tensor.shape }
}
