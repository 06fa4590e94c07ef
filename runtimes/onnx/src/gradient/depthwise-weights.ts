import { BLOCKED, fromBlocks, toBlocks } from '../build/blocked.js'
import type { Value } from '../build/value.js'
import { spanOf } from '../build/window.js'
import type { GradientContext } from './context.js'
import type { Convolution } from './conv-weights.js'
import { batchLast, known, padded, positions, seen, shifted } from './windows.js'

/** Each place of the kernel sees a shifted image, multiplied by the gradient and summed: [group, filters, places]. */
export function shiftedSums(c: GradientContext, { image, dy, window, group }: Convolution, counts: number[]): Value {
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
export function narrowSums(c: GradientContext, { image, dy, window }: Convolution, counts: number[]): Value {
  const spatial = counts.map((_, axis) => axis)
  const [wide, byChannel] = [padded(c, batchLast(c, image), window, counts, { lead: 1 }), batchLast(c, dy)]
  const all = c.int64s([...spatial, counts.length].map((axis) => axis + 1))
  const taps = positions(window.kernel).map((place) => {
    const product = c.op('Mul', [seen(c, wide, window, counts, place, spatial, 1), byChannel])
    return c.op('Unsqueeze', [c.op('ReduceSum', [product, all], { keepdims: 0n }), c.int64s([1])])
  })
  return taps.length === 1 ? (taps[0] as Value) : c.op('Concat', taps, { axis: 1n })
}

/**
 * The same as one convolution on blocks of channels: each image's channel is an image of its own, and its gradient the
 * kernel that slides over it, so that what it gives at a place is what that place of the kernel saw. Summed over the
 * batch. Undefined where the batch or the shape does not allow it.
 */
export function blockedSums(
  c: GradientContext,
  { image, dy, window }: Convolution,
  counts: number[],
): Value | undefined {
  const [batch, channels] = [image.shape[0], Number(image.shape[1])]
  if (typeof batch !== 'number' || batch === 0 || counts.length > 2) return undefined
  // One spatial axis lies along the lines.
  const axes = [0, 1]
  const of = (values: readonly number[], fill: number): number[] => axes.map((axis) => values[axis] ?? fill)
  const [sizes, heights] = [of(known(c, image.shape.slice(2)), 1), of(counts, 1)]
  const [strides, dilations, begin] = [of(window.strides, 1), of(window.dilations, 1), of(window.begin, 0)]
  const missing = axes.map((axis) => {
    const reach = ((heights[axis] ?? 1) - 1) * (strides[axis] ?? 1) + (axis < counts.length ? spanOf(window, axis) : 1)
    return Math.max(0, reach - (begin[axis] ?? 0) - (sizes[axis] ?? 1))
  })
  const blocks = (value: Value, shape: readonly number[]): Value => {
    const flat = value.shape.length === 3 ? c.op('Unsqueeze', [value, c.int64s([3])]) : value
    return c.op('Reshape', [toBlocks(c.g, flat), c.int64s(shape)])
  }
  const all = batch * channels
  const sums = c.op(BLOCKED.conv, [blocks(image, [1, all, ...sizes]), blocks(dy, [all, 1, ...heights])], {
    auto_pad: 'NOTSET',
    kernel_shape: heights.map(BigInt),
    strides: dilations.map(BigInt),
    dilations: strides.map(BigInt),
    pads: [...begin, ...missing].map(BigInt),
    group: BigInt(all),
  })
  // Elements that no window reaches let the kernel slide further than its places.
  const kernel = of(window.kernel, 1)
  const cut = axes.map((axis) => ({ axis: axis + 2, offset: 0, count: kernel[axis] ?? 1 }))
  const each = c.op('Reshape', [shifted(c, fromBlocks(c.g, sums), cut), c.int64s([batch, channels, ...kernel])])
  return c.op('ReduceSum', [each, c.int64s([0])], { keepdims: 0n })
}
