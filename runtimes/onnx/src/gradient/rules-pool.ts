import { floats, staticCount, type Value } from '../build/value.js'
import { type Window, windowOf } from '../build/window.js'
import { blockedMaxPool } from './blocked-pool.js'
import type { GradientContext } from './context.js'
import { castLike, choose, mul, one, type Rules } from './rule.js'
import { known, padded, positions, putBack, seen } from './windows.js'

const poolWindow = (c: GradientContext): Window =>
  windowOf(c.info, c.info.ints('kernel_shape') ?? [], c.in(0).shape.slice(2))

/** Whether no element is in two windows, and none of a window is padding. */
function isApart({ kernel, strides, dilations }: Window, sizes: readonly number[], counts: readonly number[]): boolean {
  return kernel.every((size, axis) => {
    const step = strides[axis] ?? 1
    const end = ((counts[axis] ?? 1) - 1) * step + size
    return (dilations[axis] ?? 1) === 1 && size <= step && end <= (sizes[axis] ?? 0)
  })
}

/**
 * The first of the largest in a window takes its gradient: PyTorch's and TensorFlow's convention, and that of ONNX's
 * Indices. Where windows lie apart, MaxUnpool puts each gradient to its index: a third of the time of masks, also where
 * the indices are computed for it (they are the node's second output where it has one). Else each place of the kernel
 * takes what the places before it left; so, too, where images lie in blocks of channels and windows tile them, which
 * takes two thirds of that. MaxUnpool is for float32 in ONNX Runtime, and not on every provider.
 */
const maxPool = one((c) => {
  const window = poolWindow(c)
  const blocked = blockedMaxPool(c, window)
  if (blocked !== undefined) return blocked
  const unpools = c.dy.dtype === 'float32' && !c.g.without.has('MaxUnpool')
  if (unpools && isApart(window, known(c, c.in(0).shape.slice(2)), known(c, c.y.shape.slice(2)))) {
    const { attributes, outputs } = c.node
    const indices = outputs[1] ?? (c.g.ops('MaxPool', [c.in(0)], attributes, { outputs: 2 })[1] as Value)
    const shape = { kernel_shape: window.kernel.map(BigInt), strides: window.strides.map(BigInt) }
    return c.op('MaxUnpool', [c.dy, indices, c.shapeOf(c.in(0))], shape)
  }
  const sizes = known(c, c.in(0).shape.slice(2))
  const counts = known(c, c.y.shape.slice(2))
  const spatial = counts.map((_, axis) => axis)
  const image = padded(c, c.in(0), window, counts, { fill: -Infinity })
  const places = positions(window.kernel)
  let left = c.dy
  const parts = places.map((place, at) => {
    if (at === places.length - 1) return { place, value: left }
    const largest = c.op('Equal', [seen(c, image, window, counts, place, spatial), c.y])
    const value = choose(c, largest, left, 0)
    left = choose(c, largest, 0, left)
    return { place, value }
  })
  return putBack(c, parts, window, sizes)
})

/** How many elements each window averages, along each axis. */
function counted(c: GradientContext, window: Window, sizes: number[], counts: number[]): number[][] {
  const withPads = c.info.int('count_include_pad', 0) === 1
  return counts.map((count, axis) =>
    Array.from({ length: count }, (_, at) => {
      const start = at * (window.strides[axis] ?? 1) - (window.begin[axis] ?? 0)
      const stop = start + (window.kernel[axis] ?? 1)
      const size = sizes[axis] ?? 1
      return withPads
        ? Math.min(stop, size + (window.end[axis] ?? 0)) - start
        : Math.min(stop, size) - Math.max(start, 0)
    }),
  )
}

const averagePool = one((c) => {
  const window = poolWindow(c)
  const sizes = known(c, c.in(0).shape.slice(2))
  const counts = known(c, c.y.shape.slice(2))
  const shares = counted(c, window, sizes, counts).reduce<number[]>(
    (all, along) => all.flatMap((value) => along.map((count) => value / count)),
    [1],
  )
  const even = shares.every((share) => share === shares[0])
  const share = c.tensor(even ? floats(c.dy.dtype, [shares[0] ?? 1]) : floats(c.dy.dtype, shares, counts))
  const value = mul(c, c.dy, share)
  const tiled = window.kernel.every((size, axis) => size === window.strides[axis])
  const covered = counts.every((count, axis) => count * (window.kernel[axis] ?? 1) === sizes[axis])
  if (tiled && covered && window.begin.every((pad) => pad === 0)) return repeated(c, value, window.kernel)
  return putBack(
    c,
    positions(window.kernel).map((place) => ({ place, value })),
    window,
    sizes,
  )
})

/** Each element as a block of equal ones. */
function repeated(c: GradientContext, value: Value, block: readonly number[]): Value {
  const scales = c.tensor(floats('float32', [1, 1, ...block], [block.length + 2]))
  return c.op('Resize', [value, undefined, scales], {
    mode: 'nearest',
    coordinate_transformation_mode: 'asymmetric',
    nearest_mode: 'floor',
  })
}

const globalAverage = one((c) => {
  const count = staticCount(c.in(0).shape.slice(2))
  const elements =
    count === undefined
      ? castLike(c, c.op('Div', [c.op('Size', [c.in(0)]), c.op('Size', [c.y])]), c.dy)
      : c.scalar(count)
  return c.op('Expand', [c.op('Div', [c.dy, elements]), c.shapeOf(c.in(0))])
})

/** Shared evenly between the largest, as ReduceMax's. */
const globalMax = one((c) => {
  const largest = castLike(c, c.op('Equal', [c.in(0), c.y]), c.dy)
  const axes = c.int64s(c.dy.shape.slice(2).map((_, axis) => axis + 2))
  const ties = c.op('ReduceSum', [largest, axes], { keepdims: 1n })
  return mul(c, largest, c.op('Div', [c.dy, ties]))
})

export const poolRules: Rules = {
  AveragePool: averagePool,
  GlobalAveragePool: globalAverage,
  GlobalMaxPool: globalMax,
  MaxPool: maxPool,
}
