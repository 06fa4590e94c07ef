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
 * The same as one convolution on blocks of channels: the images of the batch lie below each other as one image
 * [1, C, N · lines, W], and the gradients, with empty lines between them, are its kernel. What it gives, for each place of
 * the kernel that is looked for, is what that place saw. Undefined where the batch or the shape does not allow it.
 */
export function blockedSums(
  c: GradientContext,
  { image, dy, window }: Convolution,
  counts: number[],
): Value | undefined {
  const [batch, channels] = [image.shape[0], Number(image.shape[1])]
  if (typeof batch !== 'number' || batch === 0 || counts.length > 2) return undefined
  // One spatial axis lies along the lines.
  const axes = counts.length === 1 ? [0] : [0, 1]
  const [step = 1, stepAlong = 1] = axes.map((axis) => window.strides[axis])
  const [apart = 1, apartAlong = 1] = axes.map((axis) => window.dilations[axis])
  const missing = ((window.kernel[0] ?? 1) - 1) * apart - (step - 1)
  if (missing < 0) return undefined
  const [height = 1, width = 1] = counts
  // So many lines of the gradient's belong to an image, and `step` as many of its own, that no place reaches the next.
  const lines = Math.ceil(((height - 1) * step + spanOf(window, 0)) / step)
  const [, own = 1] = known(c, image.shape.slice(2))
  const reach = axes.length === 1 ? 1 : (width - 1) * stepAlong + spanOf(window, 1)
  const [beginAlong = 0] = window.begin.slice(1)
  const rows = stacked(c, image, {
    begin: window.begin[0] ?? 0,
    rows: lines * step,
    columns: Math.min(own, reach - beginAlong),
  })
  const kernel = stacked(c, dy, { begin: 0, rows: lines, columns: width })
  const sums = c.op(BLOCKED.conv, [rows, c.op('Reshape', [kernel, c.int64s([channels, 1, batch * lines, width])])], {
    auto_pad: 'NOTSET',
    kernel_shape: [batch * lines, width].map(BigInt),
    strides: [apart, apartAlong].map(BigInt),
    dilations: [step, stepAlong].map(BigInt),
    pads: [0, beginAlong, missing, Math.max(0, reach - beginAlong - own)].map(BigInt),
    group: BigInt(channels),
  })
  return fromBlocks(c.g, sums)
}

/** Images [N, C, H, W] in blocks of channels and below each other, [1, C, N · rows, columns], cut or with zeros added. */
function stacked(
  c: GradientContext,
  image: Value,
  { begin, rows, columns }: { readonly begin: number; readonly rows: number; readonly columns: number },
): Value {
  const [batch = 1, channels = 1, height = 1, width = 1] = image.shape.map(Number)
  const block = c.g.block ?? 1
  const flat = image.shape.length === 3 ? c.op('Unsqueeze', [image, c.int64s([3])]) : image
  const shape = [batch, channels / block, height, width, block]
  const blocks = c.op('Reshape', [toBlocks(c.g, flat), c.int64s(shape)])
  const turned = c.op('Transpose', [blocks], { perm: [1n, 0n, 2n, 3n, 4n] })
  const cut = shifted(c, turned, [
    { axis: 2, offset: -begin, count: rows },
    { axis: 3, offset: 0, count: columns },
  ])
  return c.op('Reshape', [cut, c.int64s([1, channels, batch * rows, columns])])
}
