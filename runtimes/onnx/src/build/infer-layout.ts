import type { InferRule, NodeContext } from './context.js'
import { broadcast, show } from './shapes.js'
import { type Dim, staticCount } from './value.js'

/** An int64 vector of known length, as a shape operator gives. */
const vector = (length: Dim): readonly { dtype: 'int64'; shape: Dim[] }[] => [{ dtype: 'int64', shape: [length] }]

const reshape: InferRule = (node) => {
  const from = node.in(0).shape
  const wanted = node.constantInts(1)
  if (wanted === undefined) {
    const rank = node.in(1).shape[0]
    if (typeof rank !== 'number') throw node.invalid('the rank of the new shape is not known')
    return node.like(Array.from({ length: rank }, () => node.fresh()))
  }
  const shape = wanted.map((size, axis): Dim => (size === 0 ? (from[axis] ?? 1) : size))
  return node.like(shape.map((size) => (size === -1 ? missingDim(node, from, shape) : size)))
}

/** The size that -1 stands for: a symbol on both sides cancels. */
function missingDim(node: NodeContext, from: readonly Dim[], to: readonly Dim[]): Dim {
  const rest = to.filter((size) => size !== -1)
  const left = [...from]
  for (const size of rest) {
    const at = left.indexOf(size)
    if (typeof size === 'string' && at >= 0) left.splice(at, 1)
  }
  const symbols = left.filter((size) => typeof size === 'string')
  const have = left.reduce<number>((product, size) => (typeof size === 'number' ? product * size : product), 1)
  const want = rest.reduce<number>((product, size) => (typeof size === 'number' ? product * size : product), 1)
  if (symbols.length === 0) {
    if (have % want !== 0) throw node.invalid(`${show(from)} does not divide into ${show(to)}`)
    return have / want
  }
  return symbols.length === 1 && have === want ? (symbols[0] ?? node.fresh()) : node.fresh()
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
  const axes = node.constantInts(1)
  if (axes === undefined) throw node.invalid('its axes must be constant')
  const gone = new Set(axes.map((axis) => node.axis(axis, shape.length)))
  return node.like(shape.filter((_, axis) => !gone.has(axis)))
}

const expand: InferRule = (node) => {
  const wanted = node.constantInts(1)
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
  const whole = shape[axis]
  const sizes = node.constantInts(1) ?? Array.from({ length: node.outputCount }, () => Number(whole) / node.outputCount)
  if (sizes.length !== node.outputCount) throw node.invalid(`${sizes.length} parts, but ${node.outputCount} outputs`)
  return sizes.map((part) => ({ dtype, shape: shape.map((size, at) => (at === axis ? part : size)) }))
}

const gather: InferRule = (node) => {
  const { shape } = node.in(0)
  const axis = node.axis(node.int('axis', 0), shape.length)
  return node.like([...shape.slice(0, axis), ...node.in(1).shape, ...shape.slice(axis + 1)])
}

const oneHot: InferRule = (node) => {
  const shape = [...node.in(0).shape]
  const axis = node.int('axis', -1)
  const depth = node.constantInts(1)?.[0] ?? node.fresh()
  shape.splice(axis < 0 ? shape.length + 1 + axis : axis, 0, depth)
  return [{ dtype: node.in(2).dtype, shape }]
}

/** Operators that move, count or repeat elements. */
export const inferLayout: Readonly<Record<string, InferRule>> = {
  Concat: concat,
  Expand: expand,
  Flatten: flatten,
  Gather: gather,
  NonZero: (node) => [{ dtype: 'int64', shape: [node.in(0).shape.length, node.fresh()] }],
  OneHot: oneHot,
  Reshape: reshape,
  Shape: (node) => [...vector(node.in(0).shape.length)],
  Size: () => [{ dtype: 'int64', shape: [] }],
  Split: split,
  Squeeze: squeeze,
  Transpose: transpose,
  Unsqueeze: unsqueeze,
}
