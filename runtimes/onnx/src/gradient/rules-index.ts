import type { Value } from '../build/value.js'
import type { Attributes } from '../format/node.js'
import type { GradientContext, GradientRule } from './context.js'
import { one, type Rules, zerosLike } from './rule.js'

/** The gradient in a tensor of zeros like the input, added up at the flat position that each element came from. */
export function scatterBack(c: GradientContext, positions: Value): Value {
  const x = c.in(0)
  const flat = c.int64s([-1])
  const zeros = c.op('Expand', [c.scalar(0), c.op('Reshape', [c.op('Size', [x]), c.int64s([1])])])
  const parts = [positions, c.dy].map((value) => c.op('Reshape', [value, flat]))
  const sum = c.op('ScatterElements', [zeros, ...parts], { axis: 0n, reduction: 'add' })
  return c.op('Reshape', [sum, c.shapeOf(x)], { allowzero: 1n })
}

/** Each element's flat position, in the input's shape: what an operator that moves elements does to these says whence. */
export function positionsOf(c: GradientContext): Value {
  const x = c.in(0)
  const scalar = (value: bigint): Value => c.tensor({ dtype: 'int64', shape: [], data: BigInt64Array.of(value) })
  const range = c.op('Range', [scalar(0n), c.op('Size', [x]), scalar(1n)])
  return c.op('Reshape', [range, c.shapeOf(x)], { allowzero: 1n })
}

/** Rows are added where they were taken (an embedding); a single place along an axis is padded with zeros. */
const gather: GradientRule = (c) => {
  if (!c.needs(0)) return []
  const [x, at] = [c.in(0), c.in(1)]
  const axis = c.info.axis(c.info.int('axis', 0), x.shape.length)
  const size = x.shape[axis]
  const index = at.shape.length === 0 ? c.info.constantInts(1)?.[0] : undefined
  if (index !== undefined && typeof size === 'number') return [padOne(c, axis, index < 0 ? index + size : index, size)]
  const rank = x.shape.length
  const inner = at.shape.length
  // Axes of dy: those before the gathered one, those of the indices, the rest. The indices' go first, as does x's axis.
  const order = [...range(axis, axis + inner), ...range(0, axis), ...range(axis + inner, rank + inner - 1)]
  const back = [...range(1, axis + 1), 0, ...range(axis + 1, rank)]
  const dy = axis === 0 ? c.dy : c.op('Transpose', [c.dy], { perm: order.map(BigInt) })
  const front = [axis, ...range(0, axis), ...range(axis + 1, rank)]
  const sizes = axis === 0 ? c.shapeOf(x) : reordered(c, x, front)
  const where = int64(c, c.op('Unsqueeze', [at, c.int64s([-1])]))
  const sum = c.op('ScatterND', [c.op('Expand', [c.scalar(0), sizes]), where, dy], { reduction: 'add' })
  return [axis === 0 ? sum : c.op('Transpose', [sum], { perm: back.map(BigInt) })]
}

/** A tensor's sizes in another order of axes. */
function reordered(c: GradientContext, value: Value, order: readonly number[]): Value {
  const sizes = order.map((axis) => value.shape[axis] ?? 1)
  return sizes.every((size) => typeof size === 'number')
    ? c.int64s(sizes)
    : c.op('Gather', [c.op('Shape', [value]), c.int64s(order)])
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, at) => from + at)

const int64 = (c: GradientContext, value: Value): Value =>
  value.dtype === 'int64' ? value : c.op('Cast', [value], { to: 7n })

function padOne(c: GradientContext, axis: number, index: number, size: number): Value {
  const rank = c.in(0).shape.length
  const pads = Array.from({ length: 2 * rank }, () => 0)
  pads[axis] = index
  pads[axis + rank] = size - 1 - index
  return c.op('Pad', [c.op('Unsqueeze', [c.dy, c.int64s([axis])]), c.int64s(pads)])
}

/** The largest values' gradients, back at their places. */
const topK: GradientRule = (c) => {
  if (!c.needs(0)) return []
  const axis = BigInt(c.info.int('axis', -1))
  return [c.op('ScatterElements', [zerosLike(c, c.in(0)), c.node.outputs[1], c.dy], { axis })]
}

/** What was overwritten has no gradient; what was written or added has that of its place. */
const scatter =
  (look: string): GradientRule =>
  (c) => {
    const { axis, reduction } = c.node.attributes
    const at: Attributes = axis === undefined ? {} : { axis }
    const [index, updates] = [c.in(1), c.in(2)]
    const erased = (): Value => c.op(c.node.opType, [c.dy, index, zerosLike(c, updates)], at)
    return [
      c.needs(0) ? (reduction === 'add' ? c.dy : erased()) : undefined,
      undefined,
      c.needs(2) ? c.op(look, [c.dy, index], at) : undefined,
    ]
  }

/** Operators that look elements up by their indices. */
export const indexRules: Rules = {
  Gather: gather,
  GatherElements: one((c) => {
    const axis = BigInt(c.info.int('axis', 0))
    return c.op('ScatterElements', [zerosLike(c, c.in(0)), c.in(1), c.dy], { axis, reduction: 'add' })
  }),
  GatherND: one((c) => c.op('ScatterND', [zerosLike(c, c.in(0)), c.in(1), c.dy], { reduction: 'add' })),
  ScatterElements: scatter('GatherElements'),
  ScatterND: scatter('GatherND'),
  TopK: topK,
}
