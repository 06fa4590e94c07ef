import type { Dim, Value } from '../build/value.js'
import { spanOf, type Window } from '../build/window.js'
import type { GradientContext } from './context.js'

/** Spatial sizes, which gradients of sliding operators need before the graph runs; throws `GRAPH_INVALID` otherwise. */
export function known(c: GradientContext, sizes: readonly Dim[]): number[] {
  if (sizes.every((size) => typeof size === 'number')) return [...sizes]
  throw c.info.invalid('its gradient needs spatial sizes that are known when the graph is built')
}

/** All places in a kernel, the last axis fastest. */
export function positions(kernel: readonly number[]): number[][] {
  return kernel.reduce<number[][]>(
    (places, size) => places.flatMap((place) => Array.from({ length: size }, (_, at) => [...place, at])),
    [[]],
  )
}

export const isPointwise = ({ kernel, begin, end }: Window): boolean =>
  [...begin, ...end].every((pad) => pad === 0) && kernel.every((size) => size === 1)

/** [N, C, …] as [C, …, N]. */
export const batchLast = (c: GradientContext, value: Value): Value =>
  c.op('Transpose', [value], { perm: value.shape.map((_, axis) => BigInt((axis + 1) % value.shape.length)) })

/** [C, …, N] as [N, C, …]. */
export const batchFirst = (c: GradientContext, value: Value): Value =>
  c.op('Transpose', [value], {
    perm: value.shape.map((_, axis) => BigInt((axis + value.shape.length - 1) % value.shape.length)),
  })

/** The spatial axes of an image, which start at `lead`, with their padding and as much more as the last window reaches. */
export function padded(
  c: GradientContext,
  value: Value,
  window: Window,
  counts: readonly number[],
  { lead = value.shape.length - counts.length, fill }: { readonly lead?: number; readonly fill?: number } = {},
): Value {
  const sizes = known(c, value.shape.slice(lead, lead + counts.length))
  const after = counts.map((count, axis) => {
    const reach = (count - 1) * (window.strides[axis] ?? 1) + spanOf(window, axis)
    return Math.max(0, reach - (window.begin[axis] ?? 0) - (sizes[axis] ?? 0))
  })
  const [before, behind] = [lead, value.shape.length - lead - counts.length].map((count) =>
    Array<number>(count).fill(0),
  )
  const pads = [window.begin, after].flatMap((side) => [...(before ?? []), ...side, ...(behind ?? [])])
  if (pads.every((pad) => pad === 0)) return value
  return c.op('Pad', [value, c.int64s(pads), ...(fill === undefined ? [] : [c.scalar(fill)])])
}

/** What one place of the kernel sees in each window, along some spatial axes of a padded image. */
export function seen(
  c: GradientContext,
  image: Value,
  window: Window,
  counts: readonly number[],
  place: readonly number[],
  axes: readonly number[],
  lead = image.shape.length - counts.length,
): Value {
  const cut = axes.filter((axis) => image.shape[lead + axis] !== counts[axis] || (window.strides[axis] ?? 1) !== 1)
  if (cut.length === 0) return image
  const starts = cut.map((axis) => (place[axis] ?? 0) * (window.dilations[axis] ?? 1))
  const steps = cut.map((axis) => window.strides[axis] ?? 1)
  const ends = cut.map((axis, at) => (starts[at] ?? 0) + ((counts[axis] ?? 1) - 1) * (steps[at] ?? 1) + 1)
  const inputs = [starts, ends, cut.map((axis) => lead + axis)]
  if (steps.some((step) => step !== 1)) inputs.push(steps)
  return c.op('Slice', [image, ...inputs.map((values) => c.int64s(values))])
}

/** Elements `offset` to `offset + count` of some axes, zeros where there are none: one Pad, which also cuts. */
export function shifted(
  c: GradientContext,
  value: Value,
  cuts: readonly { readonly axis: number; readonly offset: number; readonly count: number }[],
): Value {
  const pads = Array<number>(2 * value.shape.length).fill(0)
  for (const { axis, offset, count } of cuts) {
    pads[axis] = -offset
    pads[value.shape.length + axis] = offset + count - Number(value.shape[axis])
  }
  return pads.every((pad) => pad === 0) ? value : c.op('Pad', [value, c.int64s(pads)])
}

/**
 * The inverse of `seen`, summed over the kernel: what each place gives to each window goes back to where it came from.
 * Places whose offset leaves the same remainder by the stride are added at the windows' resolution first; the sums, one
 * a remainder, are then interleaved.
 */
export function putBack(
  c: GradientContext,
  parts: readonly { readonly place: readonly number[]; readonly value: Value }[],
  window: Window,
  sizes: readonly number[],
): Value {
  const { strides, dilations, begin } = window
  const counts = known(c, parts[0]?.value.shape.slice(2) ?? [])
  const offset = (place: readonly number[]): number[] => place.map((at, axis) => at * (dilations[axis] ?? 1))
  const shift = (place: readonly number[]): number[] =>
    offset(place).map((at, axis) => Math.floor(at / (strides[axis] ?? 1)))
  const lengths = sizes.map((size, axis) =>
    Math.max(
      Math.ceil(((begin[axis] ?? 0) + size) / (strides[axis] ?? 1)),
      ...parts.map(({ place }) => (shift(place)[axis] ?? 0) + (counts[axis] ?? 0)),
    ),
  )
  const planes = positions(strides).map((phase) => {
    const own = parts.filter(({ place }) =>
      offset(place).every((at, axis) => at % (strides[axis] ?? 1) === phase[axis]),
    )
    const shifted = own.map(({ place, value }) => {
      const before = shift(place)
      const after = lengths.map((length, axis) => length - (counts[axis] ?? 0) - (before[axis] ?? 0))
      const pads = [0, 0, ...before, 0, 0, ...after]
      return pads.every((pad) => pad === 0) ? value : c.op('Pad', [value, c.int64s(pads)])
    })
    return shifted.length === 0 ? undefined : shifted.reduce((sum, value) => c.op('Add', [sum, value]))
  })
  return crop(c, interleaved(c, planes, strides, lengths), window, sizes)
}

/** Planes of the same shape, one for each remainder by the strides, as one image. */
function interleaved(
  c: GradientContext,
  planes: readonly (Value | undefined)[],
  strides: readonly number[],
  lengths: readonly number[],
): Value {
  const [like] = planes.filter((plane) => plane !== undefined)
  if (planes.length === 1 || like === undefined) return like as Value
  const empty = planes.includes(undefined) ? c.op('Expand', [c.scalar(0), c.shapeOf(like)]) : like
  const all = c.op(
    'Concat',
    planes.map((plane) => plane ?? empty),
    { axis: 1n },
  )
  const [block] = strides
  if (strides.length === 2 && strides[1] === block)
    return c.op('DepthToSpace', [all], { blocksize: BigInt(block ?? 1) })
  const rank = strides.length
  const channels = Number(like.shape[1])
  const split = c.op('Reshape', [all, c.int64s([0, ...strides, channels, ...lengths])])
  const perm = [0, rank + 1, ...strides.flatMap((_, axis) => [rank + 2 + axis, 1 + axis])]
  const mixed = c.op('Transpose', [split], { perm: perm.map(BigInt) })
  return c.op('Reshape', [mixed, c.int64s([0, channels, ...lengths.map((size, axis) => size * (strides[axis] ?? 1))])])
}

function crop(c: GradientContext, value: Value, { begin }: Window, sizes: readonly number[]): Value {
  const axes = sizes.map((_, axis) => axis).filter((axis) => value.shape[axis + 2] !== sizes[axis])
  if (axes.length === 0) return value
  const starts = axes.map((axis) => begin[axis] ?? 0)
  const ends = axes.map((axis, at) => (starts[at] ?? 0) + (sizes[axis] ?? 0))
  return c.op('Slice', [value, c.int64s(starts), c.int64s(ends), c.int64s(axes.map((axis) => axis + 2))])
}
