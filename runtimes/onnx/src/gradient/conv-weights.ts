import { isBlocked } from '../build/blocked.js'
import { isNarrow } from '../build/lower-conv.js'
import type { Value } from '../build/value.js'
import type { Window } from '../build/window.js'
import type { GradientContext } from './context.js'
import { blockedSums, narrowSums, shiftedSums } from './depthwise-weights.js'
import { isPointwise, known, padded, positions, seen, shifted } from './windows.js'

/** From so many channels on, a product for each place of the kernel is cheaper than one for all of their columns. */
const MANY = 8

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
    const whole = filters === channels && isBlocked(c.g, image, channels) ? blockedSums(c, conv, counts) : undefined
    const narrow = filters === channels && isNarrow(counts)
    const sums = whole ?? (narrow ? narrowSums(c, conv, counts) : shiftedSums(c, conv, counts))
    return c.op('Reshape', [sums, c.int64s(weights)])
  }
  const grouped = (value: Value): Value =>
    c.op('Reshape', [value, c.int64s([0, group, Number(value.shape[1]) / group, ...known(c, value.shape.slice(2))])])
  const parts = { ...conv, image: grouped(image), dy: grouped(dy), blocks: blocksOf(c, conv) }
  return channels / group < MANY ? byColumns(c, parts, counts, weights) : byPlaces(c, parts, counts, weights)
}

/** Images of a single group that lie in blocks of channels, each [N, blocks, H, W · block] in memory. */
interface Blocks {
  readonly image?: Value | undefined
  readonly dy?: Value | undefined
}

type Grouped = Convolution & { readonly blocks: Blocks }

function blocksOf(c: GradientContext, { image, dy, group }: Convolution): Blocks {
  const { block } = c.g
  const lined = (value: Value): Value | undefined => {
    const blocked = c.g.inBlocks.get(value.name)
    if (blocked === undefined || block === undefined) return undefined
    const [channels = 1, height = 1, width = 1] = known(c, blocked.shape.slice(1))
    return c.op('Reshape', [blocked, c.int64s([0, channels / block, height, width * block])])
  }
  const isPlane = group === 1 && image.shape.length === 4
  return isPlane ? { image: lined(image), dy: lined(dy) } : {}
}

/** Few channels: what all places see, as columns of one product. The last axis is unfolded first, the others as lines. */
function byColumns(c: GradientContext, conv: Grouped, counts: number[], weights: number[]): Value {
  const { image, window } = conv
  const rank = counts.length
  const last = rank - 1
  const wide = padded(c, image, window, counts)
  const rows = window.kernel.slice(0, -1)
  const unfolded = concat(
    c,
    Array.from({ length: window.kernel.at(-1) ?? 1 }, (_, at) =>
      seen(c, wide, window, counts, [...rows.map(() => 0), at], [last]),
    ),
  )
  const outer = counts.slice(0, -1).map((_, axis) => axis)
  const columns = concat(
    c,
    positions(rows).map((place) => seen(c, unfolded, window, counts, [...place, 0], outer)),
  )
  const whole = conv.blocks.dy === undefined ? product(c, conv.dy, columns) : turnedProduct(c, columns, conv.blocks.dy)
  if (window.kernel.every((size) => size === 1)) return c.op('Reshape', [whole, c.int64s(weights)])
  // [group, filters, kernel without its last axis, last axis, channels] to [filters, channels, kernel]
  const split = c.op('Reshape', [whole, c.int64s([Number(weights[0]), ...window.kernel, Number(weights[1])])])
  return c.op('Transpose', [split], { perm: [0, rank + 1, ...window.kernel.map((_, axis) => 1 + axis)].map(BigInt) })
}

const concat = (c: GradientContext, values: readonly Value[]): Value =>
  values.length === 1 ? (values[0] as Value) : c.op('Concat', values, { axis: 2n })

/**
 * A product for each column of the kernel. The image is shifted along the last axis; along the one before it the gradient
 * is gathered as every row of the kernel needs it, so that nothing is copied once for every place of the whole kernel.
 * With a stride the image's rows are gathered instead. Axes before these two are taken a place at a time.
 */
function byPlaces(c: GradientContext, conv: Grouped, counts: number[], weights: number[]): Value {
  const { window } = conv
  const steady = window.strides.every((step) => step === 1)
  const outer = window.kernel.slice(0, -2)
  const [height, width] = [window.kernel.length > 1 ? (window.kernel.at(-2) ?? 1) : 1, window.kernel.at(-1) ?? 1]
  const parts = positions([...outer, width]).map((place) =>
    steady ? steadyProduct(c, conv, counts, place) : product(c, ...stridedPair(c, conv, counts, place)),
  )
  const rows = parts.map((part) => c.op('Reshape', [part, c.int64s([1, -1])]))
  const all = rows.length === 1 ? (rows[0] as Value) : c.op('Concat', rows, { axis: 0n })
  // [places of the outer axes and columns, filters, and rows of the kernel with channels] to [filters, channels, kernel]
  const [filters = 1, each = 1] = weights
  const inner = steady ? [height, each] : [each, height]
  const split = c.op('Reshape', [all, c.int64s([...outer, width, filters, ...inner])])
  const at = outer.length
  const [rowAxis, channelAxis] = steady ? [at + 2, at + 3] : [at + 3, at + 2]
  const perm = [at + 1, channelAxis, ...outer.map((_, axis) => axis), rowAxis, at]
  return c.op('Reshape', [c.op('Transpose', [split], { perm: perm.map(BigInt) }), c.int64s(weights)])
}

/** How far a place of the kernel lies from a window's own place, along an axis. */
const offsetOf = ({ dilations, begin }: Window, axis: number, place: number): number =>
  place * (dilations[axis] ?? 1) - (begin[axis] ?? 0)

type Pair = readonly [dy: Value, image: Value]

/** Stride 1: gradients [N, group, filters · rows of the kernel, …] by the image as one column sees it. */
function steadyProduct(c: GradientContext, conv: Grouped, counts: number[], place: number[]): Value {
  const { dy, window, blocks } = conv
  const last = counts.length - 1
  const sizes = known(c, conv.image.shape.slice(3))
  const offset = offsetOf(window, last, place.at(-1) ?? 0)
  const count = counts[last] ?? 1
  const outer = place
    .slice(0, -1)
    .map((at, axis) => ({ axis: axis + 3, offset: -offsetOf(window, axis, at), count: sizes[axis] ?? 1 }))
  const moved = shifted(c, dy, outer)
  const axis = last - 1
  const lines = Array.from({ length: window.kernel[axis] ?? 1 }, (_, at) =>
    Array.from({ length: sizes[axis] ?? 1 }, (_line, line) => line - offsetOf(window, axis, at)),
  )
  const left = last === 0 ? moved : gathered(c, moved, axis + 3, lines)
  const { block } = c.g
  if (blocks.image === undefined || block === undefined)
    return product(c, left, shifted(c, conv.image, [{ axis: last + 3, offset, count }]))
  // A column of blocks is moved as a whole, where one of elements is moved element by element.
  return blockedProduct(c, left, shifted(c, blocks.image, [{ axis: 3, offset: offset * block, count: count * block }]))
}

/** Gradients as they are, and the image [N, group, channels · rows of the kernel, …] as one column sees it. */
function stridedPair(c: GradientContext, { image, dy, window }: Convolution, counts: number[], place: number[]): Pair {
  const last = counts.length - 1
  const outer = place.slice(0, -1)
  const wide = padded(c, image, window, counts)
  if (last === 0) return [dy, seen(c, wide, window, counts, place, [0])]
  const axis = last - 1
  const column = seen(c, wide, window, counts, [...outer, 0, place.at(-1) ?? 0], [...outer.map((_, at) => at), last])
  const lines = Array.from({ length: window.kernel[axis] ?? 1 }, (_, at) =>
    Array.from(
      { length: counts[axis] ?? 1 },
      (_line, line) => line * (window.strides[axis] ?? 1) + at * (window.dilations[axis] ?? 1),
    ),
  )
  return [dy, gathered(c, column, axis + 3, lines)]
}

/** Lines of an axis, several times over, each time as more channels: [N, group, C · times, …]; zeros beyond its ends. */
function gathered(c: GradientContext, value: Value, axis: number, lines: readonly number[][]): Value {
  const size = Number(value.shape[axis])
  const all = lines.flat()
  const before = Math.max(0, -Math.min(...all))
  const behind = Math.max(0, Math.max(...all) - (size - 1))
  const wide = shifted(c, value, [{ axis, offset: -before, count: before + size + behind }])
  if (lines.length === 1 && all.length === wide.shape[axis]) return wide
  const taken = c.op('Gather', [wide, c.int64s(all.map((line) => line + before))], { axis: BigInt(axis) })
  // The axis is the one before the last or the first of two: what lies between it and the channels is one line each.
  const shape = known(c, value.shape.slice(1))
  const [group = 1, channels = 1] = shape
  const between = shape.slice(2, axis - 1)
  const rest = shape.slice(axis)
  const times = lines.length
  const each = lines[0]?.length ?? 1
  if (between.every((length) => length === 1))
    return c.op('Reshape', [taken, c.int64s([0, group, channels * times, ...between, each, ...rest])])
  const split = c.op('Reshape', [taken, c.int64s([0, group, channels, ...between, times, each, ...rest])])
  const at = 3 + between.length
  const perm = [0, 1, 2, at, ...between.map((_, place) => 3 + place), at + 1, ...rest.map((_, place) => at + 2 + place)]
  const turned = c.op('Transpose', [split], { perm: perm.map(BigInt) })
  return c.op('Reshape', [turned, c.int64s([0, group, channels * times, ...between, each, ...rest])])
}

/** [N, group, filters, …] by [N, group, K, …], summed over the batch: [group, filters, K]. */
function product(c: GradientContext, dy: Value, columns: Value): Value {
  const [left, right] = [dy, columns].map((value) => {
    const length = known(c, value.shape.slice(3)).reduce((a, b) => a * b, 1)
    return c.op('Reshape', [value, c.int64s([0, ...known(c, value.shape.slice(1, 3)), length])])
  }) as [Value, Value]
  const turned = c.op('Transpose', [right], { perm: [0n, 1n, 3n, 2n] })
  return c.op('ReduceSum', [c.op('MatMul', [left, turned]), c.int64s([0])], { keepdims: 0n })
}

const lengthOf = (c: GradientContext, value: Value, from: number): number =>
  known(c, value.shape.slice(from)).reduce((a, b) => a * b, 1)

/** [N, 1, rows, …] by an image in blocks [N, blocks, H, W · block], summed over the batch: [1, rows, channels]. */
function blockedProduct(c: GradientContext, rows: Value, blocked: Value): Value {
  const [blocks = 1] = known(c, blocked.shape.slice(1))
  const [count, length, block] = [Number(rows.shape[2]), lengthOf(c, rows, 3), c.g.block ?? 1]
  const left = c.op('Reshape', [rows, c.int64s([0, 1, count, length])])
  const right = c.op('Reshape', [blocked, c.int64s([0, blocks, length, block])])
  const sums = c.op('ReduceSum', [c.op('MatMul', [left, right]), c.int64s([0])], { keepdims: 0n })
  const turned = blocks === 1 ? sums : c.op('Transpose', [sums], { perm: [1n, 0n, 2n] })
  return c.op('Reshape', [turned, c.int64s([1, count, blocks * block])])
}

/** The same for columns [N, 1, K, …] of a gradient in blocks: [1, filters, K]. */
function turnedProduct(c: GradientContext, columns: Value, blocked: Value): Value {
  return c.op('Transpose', [blockedProduct(c, columns, blocked)], { perm: [0n, 2n, 1n] })
}
