import { reduceAxes } from '../build/infer-reduce.js'
import { staticCount, type Value } from '../build/value.js'
import type { GradientContext, GradientRule } from './context.js'
import { castLike, choose, keepAxes, mul, one, type Rules, times } from './rule.js'

/** Repeats a reduction's gradient over the axes that it reduced. */
function spread(c: GradientContext, gradient: Value): Value {
  const axes = reduceAxes(c.info)
  if (axes?.length === 0) return gradient
  return c.op('Expand', [keepAxes(c, gradient), c.shapeOf(c.in(0))])
}

/** How many elements went into each mean. */
function meanCount(c: GradientContext): Value {
  const [x, y] = [c.in(0), c.y]
  const [from, to] = [staticCount(x.shape), staticCount(y.shape)]
  if (from !== undefined && to !== undefined && to !== 0) return c.scalar(from / to)
  const axes = reduceAxes(c.info)
  const fixed = axes === undefined ? undefined : staticCount(axes.map((axis) => x.shape[axis] ?? 1))
  if (fixed !== undefined) return c.scalar(fixed)
  return castLike(c, c.op('Div', [c.op('Size', [x]), c.op('Size', [y])]), y)
}

/** Those that tie for the largest share the gradient evenly (as PyTorch's amax and amin), so that it is not multiplied. */
const extreme = (c: GradientContext): Value => {
  const x = c.in(0)
  const hit = castLike(c, c.op('Equal', [x, keepAxes(c, c.y)]), x)
  const axes = reduceAxes(c.info)
  const over = axes === undefined ? c.in(1) : c.int64s(axes)
  const ties = c.op('ReduceSum', [hit, over], { keepdims: 1n, noop_with_empty_axes: 1n })
  return mul(c, hit, c.op('Div', [keepAxes(c, c.dy), ties]))
}

/** x / |x|, and 0 where the norm is 0 (as PyTorch's and tfjs's norm). */
const norm = (c: GradientContext): Value => {
  const zero = c.op('Equal', [c.y, c.scalar(0)])
  const scale = choose(c, zero, 0, c.op('Div', [c.dy, choose(c, zero, 1, c.y)]))
  return mul(c, c.in(0), keepAxes(c, scale))
}

/** The same running sum, from the other end. */
const cumulative: GradientRule = (c) => {
  const { exclusive = 0n, reverse = 0n } = c.node.attributes
  if (!c.needs(0)) return []
  return [c.op('CumSum', [c.dy, c.in(1)], { exclusive, reverse: 1n - BigInt(Number(reverse)) })]
}

/** Reductions and running sums. */
export const reduceRules: Rules = {
  CumSum: cumulative,
  ReduceL1: one((c) => mul(c, c.op('Sign', [c.in(0)]), keepAxes(c, c.dy))),
  ReduceL2: one(norm),
  ReduceLogSumExp: one((c) => mul(c, c.op('Exp', [c.op('Sub', [c.in(0), keepAxes(c, c.y)])]), keepAxes(c, c.dy))),
  ReduceMax: one(extreme),
  ReduceMean: one((c) => spread(c, c.op('Div', [c.dy, meanCount(c)]))),
  ReduceMin: one(extreme),
  ReduceSum: one((c) => spread(c, c.dy)),
  ReduceSumSquare: one((c) => mul(c, c.in(0), keepAxes(c, times(c, c.dy, 2)))),
}
