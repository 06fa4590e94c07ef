import type { InferRule, NodeContext } from './context.js'
import { broadcast, show } from './shapes.js'
import { sliceAxes, slices } from './shapes-of.js'
import { type Dim, staticCount } from './value.js'

const reshape: InferRule = (node) => {
  const from = node.in(0).shape
  const wanted = node.sizes(1)
  if (wanted === undefined) {
    const rank = node.in(1).shape[0]
    if (typeof rank !== 'number') throw node.invalid('the rank of the new shape is not known')
    return node.like(Array.from({ length: rank }, () => node.fresh()))
  }
  const copies = node.int('allowzero', 0) === 0
  const shape = wanted.map((size, axis) => (size === 0 && copies ? (from[axis] ?? 1) : size))
  return node.like(shape.map((size) => (size === -1 ? missingDim(node, from, shape) : size)))
}

/** The size that -1 stands for: a symbol on both sides cancels. */
function missingDim(node: NodeContext, from: readonly Dim[], to: readonly Dim[]): Dim {
  const rest = to.filter((size) => size !== -1)
  const left = [...from]
  for (const size of rest.filter((item) => typeof item === 'string')) {
    const at = left.indexOf(size)
    if (at < 0) return node.fresh()
    left.splice(at, 1)
  }
  const symbols = left.filter((size) => typeof size === 'string')
  const product = (sizes: readonly Dim[]): number =>
    sizes.reduce<number>((count, size) => (typeof size === 'number' ? count * size : count), 1)
  const [have, want] = [product(left), product(rest)]
  if (symbols.length > 1 || want === 0) return node.fresh()
  if (symbols.length === 1) return have === want ? (symbols[0] ?? node.fresh()) : node.fresh()
  if (have % want !== 0) throw node.invalid(`${show(from)} does not divide into ${show(to)}`)
  return have / want
}

const flatten: InferRule = (node) => {
  const { shape } = node.in(0)
  const axis = node.int('axis', 1)
  const at = axis < 0 ? axis + shape.length : axis
  const product = (sizes: readonly Dim[]): Dim =>
    sizes.length === 1 ? (sizes[0] ?? 1) : (staticCount(sizes) ?? node.fresh())
  return node.like([product(shape.slice(0, at)), product(shape.slice(at))])
}

const transpose: InferRule = (node) => {
  const { shape } = node.in(0)
  const order = node.ints('perm') ?? shape.map((_, axis) => shape.length - 1 - axis)
  return node.like(order.map((axis) => shape[node.axis(axis, shape.length)] ?? 1))
}

const unsqueeze: InferRule = (node) => {
  const axes = node.constantInts(1)
  if (axes === undefined) throw node.invalid('its axes must be constant')
  const rank = node.in(0).shape.length + axes.length
  const ones = new Set(axes.map((axis) => node.axis(axis, rank)))
  const rest = [...node.in(0).shape]
  return node.like(Array.from({ length: rank }, (_, axis) => (ones.has(axis) ? 1 : (rest.shift() ?? 1))))
}

const squeeze: InferRule = (node) => {
  const { shape } = node.in(0)
  const axes = node.inputs[1] === undefined ? onesOf(node) : node.constantInts(1)
  if (axes === undefined) throw node.invalid('its axes must be constant')
  const gone = new Set(axes.map((axis) => node.axis(axis, shape.length)))
  return node.like(shape.filter((_, axis) => !gone.has(axis)))
}

/** The axes of size 1, which a Squeeze without axes takes away; undefined while a size is not known. */
const onesOf = (node: NodeContext): number[] | undefined =>
  staticCount(node.in(0).shape) === undefined
    ? undefined
    : node.in(0).shape.flatMap((size, axis) => (size === 1 ? [axis] : []))

const expand: InferRule = (node) => {
  const wanted = node.sizes(1)
  if (wanted !== undefined) return node.like(broadcast(node.operator, node.in(0).shape, wanted, node.fresh))
  const rank = node.in(1).shape[0]
  if (typeof rank !== 'number') throw node.invalid('the rank of the new shape is not known')
  return node.like(Array.from({ length: Math.max(rank, node.in(0).shape.length) }, () => node.fresh()))
}

const concat: InferRule = (node) => {
  const first = node.in(0).shape
  const axis = node.axis(node.int('axis', 0), first.length)
  const sizes = node.inputs.map((_, place) => node.in(place).shape[axis] ?? 1)
  return node.like(first.map((size, at) => (at === axis ? sum(node, sizes) : size)))
}

function sum(node: NodeContext, sizes: readonly Dim[]): Dim {
  let total = 0
  for (const size of sizes) {
    if (typeof size === 'string') return node.fresh()
    total += size
  }
  return total
}

const split: InferRule = (node) => {
  const { shape, dtype } = node.in(0)
  const axis = node.axis(node.int('axis', 0), shape.length)
  const sizes = node.inputs[1] === undefined ? equalParts(node, shape[axis] ?? 1) : node.constantInts(1)
  if (sizes !== undefined && sizes.length !== node.outputCount)
    throw node.invalid(`${sizes.length} parts, but ${node.outputCount} outputs`)
  const parts = sizes ?? Array.from({ length: node.outputCount }, () => node.fresh())
  return parts.map((part) => ({ dtype, shape: shape.map((size, at) => (at === axis ? part : size)) }))
}

function equalParts(node: NodeContext, whole: Dim): number[] | undefined {
  if (typeof whole === 'string') return undefined
  if (whole % node.outputCount !== 0) throw node.invalid(`${whole} does not divide into ${node.outputCount} parts`)
  return Array.from({ length: node.outputCount }, () => whole / node.outputCount)
}

const pad: InferRule = (node) => {
  const { shape } = node.in(0)
  const pads = node.constantInts(1)
  if (pads !== undefined && pads.length !== 2 * shape.length)
    throw node.invalid(`${pads.length} pads for ${shape.length} axes`)
  return node.like(
    shape.map((size, axis) => {
      const more = pads === undefined ? undefined : (pads[axis] ?? 0) + (pads[axis + shape.length] ?? 0)
      if (more === 0) return size
      return typeof size === 'string' || more === undefined ? node.fresh() : size + more
    }),
  )
}

const tile: InferRule = (node) => {
  const { shape } = node.in(0)
  const repeats = node.constantInts(1)
  if (repeats !== undefined && repeats.length !== shape.length)
    throw node.invalid(`${repeats.length} repeats for ${shape.length} axes`)
  return node.like(
    shape.map((size, axis) => {
      const times = repeats?.[axis]
      if (times === 1) return size
      return typeof size === 'string' || times === undefined ? node.fresh() : size * times
    }),
  )
}

const slice: InferRule = (node) => {
  const { shape } = node.in(0)
  const ranges = slices(node)
  return node.like(
    shape.map((size, axis) => {
      if (ranges === undefined)
        return node.inputs[3] === undefined || sliceAxes(node)?.includes(axis) !== false ? node.fresh() : size
      const range = ranges.get(axis)
      return range === undefined ? size : (range.length ?? node.fresh())
    }),
  )
}

/** Operators that move, cut or repeat elements. */
export const inferLayout: Readonly<Record<string, InferRule>> = {
  Concat: concat,
  Expand: expand,
  Flatten: flatten,
  Pad: pad,
  Reshape: reshape,
  Slice: slice,
  Split: split,
  Squeeze: squeeze,
  Tile: tile,
  Transpose: transpose,
  Trilu: (node) => node.like(),
  Unsqueeze: unsqueeze,
}
