import { reduceAxes } from '../build/infer-reduce.js'
import { staticCount, type Value } from '../build/value.js'
import { ELEMENT_TYPE } from '../format/types.js'
import type { GradientContext, GradientRule } from './context.js'

/** Repeats a reduction's gradient over the axes that it reduced. */
function spread(c: GradientContext, gradient: Value): Value {
  const x = c.in(0)
  const axes = reduceAxes(c.info)
  if (axes === undefined) return c.op('Expand', [gradient, c.shapeOf(x)])
  if (axes.length === 0) return gradient
  const kept = c.info.int('keepdims', 1) === 1 || x.shape.length === axes.length
  const full = kept ? gradient : c.op('Unsqueeze', [gradient, c.int64s(axes)])
  return c.op('Expand', [full, c.shapeOf(x)])
}

/** How many elements went into each mean. */
function meanCount(c: GradientContext): Value {
  const [x, y] = [c.in(0), c.y]
  const [from, to] = [staticCount(x.shape), staticCount(y.shape)]
  if (from !== undefined && to !== undefined) return c.scalar(from / to)
  const axes = reduceAxes(c.info)
  const fixed = axes === undefined ? undefined : staticCount(axes.map((axis) => x.shape[axis] ?? 1))
  if (fixed !== undefined) return c.scalar(fixed)
  return c.op('Cast', [c.op('Div', [c.op('Size', [x]), c.op('Size', [y])])], { to: BigInt(ELEMENT_TYPE[y.dtype]) })
}

const shapeOnly: GradientRule = (c) => [c.needs(0) ? c.reshape(c.dy, c.in(0)) : undefined]

const transpose: GradientRule = (c) => {
  const rank = c.y.shape.length
  const order = c.info.ints('perm') ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis)
  const back = order.map((_, axis) => BigInt(order.indexOf(axis)))
  return [c.needs(0) ? c.op('Transpose', [c.dy], { perm: back }) : undefined]
}

/** Operators that move, repeat or sum elements. */
export const layoutRules: Readonly<Record<string, GradientRule>> = {
  Cast: (c) => [c.needs(0) ? c.op('Cast', [c.dy], { to: BigInt(ELEMENT_TYPE[c.in(0).dtype]) }) : undefined],
  Expand: (c) => [c.needs(0) ? c.unbroadcast(c.dy, c.in(0)) : undefined],
  Flatten: shapeOnly,
  ReduceMean: (c) => [c.needs(0) ? spread(c, c.op('Div', [c.dy, meanCount(c)])) : undefined],
  ReduceSum: (c) => [c.needs(0) ? spread(c, c.dy) : undefined],
  Reshape: shapeOnly,
  Squeeze: shapeOnly,
  Transpose: transpose,
  Unsqueeze: shapeOnly,
}
