import { isNarrow } from '../build/lower-conv.js'
import type { Value } from '../build/value.js'
import type { Window } from '../build/window.js'
import type { GradientContext } from './context.js'
import { batchLast, isPointwise, known, padded, positions, seen } from './windows.js'

/** From so many columns on, a matrix product for each row of the kernel is cheaper than one for all. */
const WIDE_ROW = 32

/** What a convolution's weight gradient is made of: the image [N, C, …] and the gradient by its output [N, O, …]. */
export interface Convolution {
  readonly image: Value
  readonly dy: Value
  readonly window: Window
  readonly group: number
}

/**
 * The gradient by a convolution's weights [O, C / group, …], as matrix products of the output's gradient by what the
 * kernel sees. Which form is chosen when, and what was measured: docs/gradients.md.
 */
export function weightGradient(c: GradientContext, conv: Convolution): Value {
  const { image, dy, window, group } = conv
  const counts = known(c, dy.shape.slice(2))
  const [channels, filters] = known(c, [image.shape[1] ?? 1, dy.shape[1] ?? 1]) as [number, number]
  const weights = [filters, channels / group, ...window.kernel]
  if (group === channels && group > 1 && !isPointwise(window)) {
    const narrow = filters === channels && isNarrow(counts)
    const sums = narrow ? narrowSums(c, conv, counts) : shiftedSums(c, conv, counts)
    return c.op('Reshape', [sums, c.int64s(weights)])
  }
  return products(c, conv, counts, weights)
}

/** Rows of the kernel: the last axis is unfolded into channels, so that the others are cut as whole lines. */
function products(c: GradientContext, conv: Convolution, counts: number[], weights: number[]): Value {
  const { image, window, group } = conv
  const rank = counts.length
  const each = Number(weights[1])
  const rows = window.kernel.slice(0, -1)
  const width = window.kernel.at(-1) ?? 1
  const last = rank - 1
  const grouped = c.op('Reshape', [image, c.int64s([0, group, each, ...known(c, image.shape.slice(2))])])
  const wide = padded(c, grouped, window, counts)
  const columns = Array.from({ length: width }, (_, at) =>
    seen(c, wide, window, counts, [...rows.map(() => 0), at], [last]),
  )
  const unfolded = columns.length === 1 ? (columns[0] as Value) : c.op('Concat', columns, { axis: 2n })
  const outer = counts.slice(0, -1).map((_, axis) => axis)
  const lines = positions(rows).map((place) => seen(c, unfolded, window, counts, [...place, 0], outer))
  const joined = each * width >= WIDE_ROW || lines.length === 1 ? lines : [c.op('Concat', lines, { axis: 2n })]
  const by = joined.map((line) => product(c, conv, counts, line, Number(weights[0])))
  const whole = by.length === 1 ? (by[0] as Value) : c.op('Concat', by, { axis: 2n })
  // [group, filters, kernel without its last axis, last axis, channels] to [filters, channels, kernel]
  if (window.kernel.every((size) => size === 1)) return c.op('Reshape', [whole, c.int64s(weights)])
  const split = c.op('Reshape', [whole, c.int64s([Number(weights[0]), ...window.kernel, each])])
  return c.op('Transpose', [split], { perm: [0, rank + 1, ...window.kernel.map((_, axis) => 1 + axis)].map(BigInt) })
}

/** dy [N, group, filters, L] by columns [N, group, K, L], summed over the batch: [group, filters, K]. */
function product(
  c: GradientContext,
  { dy, group }: Convolution,
  counts: number[],
  line: Value,
  filters: number,
): Value {
  const length = counts.reduce((a, b) => a * b, 1)
  const left = c.op('Reshape', [dy, c.int64s([0, group, filters / group, length])])
  const right = c.op('Reshape', [line, c.int64s([0, group, Number(line.shape[2]), length])])
  const turned = c.op('Transpose', [right], { perm: [0n, 1n, 3n, 2n] })
  return c.op('ReduceSum', [c.op('MatMul', [left, turned]), c.int64s([0])], { keepdims: 0n })
}

/** Depthwise: each place of the kernel sees a shifted image, multiplied by the gradient and summed. */
function shiftedSums(c: GradientContext, { image, dy, window, group }: Convolution, counts: number[]): Value {
  const each = Number(dy.shape[1]) / group
  const spatial = counts.map((_, axis) => axis)
  const sums = (value: Value): Value => {
    const plane = c.op('ReduceSum', [value, c.int64s(spatial.map((axis) => axis + 3))], { keepdims: 0n })
    return c.op('ReduceSum', [plane, c.int64s([0])], { keepdims: 0n })
  }
  const byChannel = c.op('Reshape', [dy, c.int64s([0, group, each, ...counts])])
  const from = c.op('Reshape', [image, c.int64s([0, group, 1, ...known(c, image.shape.slice(2))])])
  const wide = padded(c, from, window, counts)
  const taps = positions(window.kernel).map((place) =>
    sums(c.op('Mul', [seen(c, wide, window, counts, place, spatial), byChannel])),
  )
  const columns = taps.map((tap) => c.op('Unsqueeze', [tap, c.int64s([2])]))
  return columns.length === 1 ? (columns[0] as Value) : c.op('Concat', columns, { axis: 2n })
}

/** The same with the batch as the last axis, so that shifts move whole batches: on narrow planes twice as fast. */
function narrowSums(c: GradientContext, { image, dy, window }: Convolution, counts: number[]): Value {
  const spatial = counts.map((_, axis) => axis)
  const [wide, byChannel] = [padded(c, batchLast(c, image), window, counts, { lead: 1 }), batchLast(c, dy)]
  const all = c.int64s([...spatial, counts.length].map((axis) => axis + 1))
  const taps = positions(window.kernel).map((place) => {
    const product = c.op('Mul', [seen(c, wide, window, counts, place, spatial, 1), byChannel])
    return c.op('Unsqueeze', [c.op('ReduceSum', [product, all], { keepdims: 0n }), c.int64s([1])])
  })
  return taps.length === 1 ? (taps[0] as Value) : c.op('Concat', taps, { axis: 1n })
}
