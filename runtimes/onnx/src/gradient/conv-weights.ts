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
    const whole = filters === channels && isBlocked(c.g, channels) ? blockedSums(c, conv, counts) : undefined
    const narrow = filters === channels && isNarrow(counts)
    const sums = whole ?? (narrow ? narrowSums(c, conv, counts) : shiftedSums(c, conv, counts))
    return c.op('Reshape', [sums, c.int64s(weights)])
  }
  const grouped = (value: Value): Value =>
    c.op('Reshape', [value, c.int64s([0, group, Number(value.shape[1]) / group, ...known(c, value.shape.slice(2))])])
  const parts = { ...conv, image: grouped(image), dy: grouped(dy) }
  return channels / group < MANY ? byColumns(c, parts, counts, weights) : byPlaces(c, parts, counts, weights)
}

/** Few channels: what all places see, as columns of one product. The last axis is unfolded first, the others as lines. */
function byColumns(c: GradientContext, conv: Convolution, counts: number[], weights: number[]): Value {
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
  const whole = product(c, conv.dy, columns)
  if (window.kernel.every((size) => size === 1)) return c.op('Reshape', [whole, c.int64s(weights)])
  // [group, filters, kernel without its last axis, last axis, channels] to [filters, channels, kernel]
  const split = c.op('Reshape', [whole, c.int64s([Number(weights[0]), ...window.kernel, Number(weights[1])])])
  return c.op('Transpose', [split], { perm: [0, rank + 1, ...window.kernel.map((_, axis) => 1 + axis)].map(BigInt) })
}

const concat = (c: GradientContext, values: readonly Value[]): Value =>
  values.length === 1 ? (values[0] as Value) : c.op('Concat', values, { axis: 2n })

/**
 * A product for each place of the kernel. With stride 1 the image is shifted along the last axis and the gradient along
 * the others, each once for a place on those axes, so that nothing is copied once for every place of the whole kernel.
 */
function byPlaces(c: GradientContext, { image, dy, window }: Convolution, counts: number[], weights: number[]): Value {
  const last = counts.length - 1
  const places = positions(window.kernel)
  const steady = window.strides.every((stride) => stride === 1)
  const sizes = known(c, image.shape.slice(3))
  const wide = steady ? image : padded(c, image, window, counts)
  const offsets = (place: readonly number[]): number[] =>
    place.map((at, axis) => at * (window.dilations[axis] ?? 1) - (window.begin[axis] ?? 0))
  const pair = (place: readonly number[]): readonly [dy: Value, image: Value] => {
    if (!steady) {
      const column = seen(c, wide, window, counts, place, [last])
      const outer = counts.slice(0, -1).map((_, axis) => axis)
      return [dy, seen(c, column, window, counts, place, outer)]
    }
    const cuts = offsets(place).map((offset, axis) =>
      axis === last
        ? { axis: axis + 3, offset, count: counts[axis] ?? 1 }
        : { axis: axis + 3, offset: -offset, count: sizes[axis] ?? 1 },
    )
    return [shifted(c, dy, cuts.slice(0, -1)), shifted(c, image, cuts.slice(-1))]
  }
  const taps = places.map((place) => product(c, ...pair(place)))
  if (taps.length === 1) return c.op('Reshape', [taps[0] as Value, c.int64s(weights)])
  const rows = taps.map((tap) => c.op('Reshape', [tap, c.int64s([1, -1])]))
  const turned = c.op('Transpose', [c.op('Concat', rows, { axis: 0n })], { perm: [1n, 0n] })
  return c.op('Reshape', [turned, c.int64s(weights)])
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
