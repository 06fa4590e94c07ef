import type { InferRule, NodeContext } from './context.js'
import { shapePart, slices } from './shapes-of.js'
import { type Dim, staticCount } from './value.js'

/** More elements than any shape has are data, not sizes. */
const MOST = 64

type Contents = readonly Dim[] | undefined

const kept = (node: NodeContext): Contents => node.sizes(0)

/** Element by element, where numbers suffice; `fold` may also know the answer for a size that is a name. */
const pairwise =
  (fold: (a: Dim, b: Dim) => Dim | undefined) =>
  (node: NodeContext): Contents => {
    const [a, b] = [node.sizes(0), node.sizes(1)]
    if (a === undefined || b === undefined || (a.length !== b.length && a.length !== 1 && b.length !== 1)) return
    const length = a.length === 1 ? b.length : a.length
    const all = Array.from({ length }, (_, at) =>
      fold(a[a.length === 1 ? 0 : at] ?? 1, b[b.length === 1 ? 0 : at] ?? 1),
    )
    return all.every((item) => item !== undefined) ? all : undefined
  }

const numbers =
  (fold: (a: number, b: number) => number, neutral?: number) =>
  (a: Dim, b: Dim): Dim | undefined => {
    if (typeof a === 'number' && typeof b === 'number') return fold(a, b)
    return b === neutral ? a : undefined
  }

const either =
  (fold: (a: number, b: number) => number, neutral: number) =>
  (a: Dim, b: Dim): Dim | undefined =>
    a === neutral ? b : numbers(fold, neutral)(a, b)

/** Equal numbers or equal names are equal; no size is negative; what else two sizes are shows at run time. */
const equal = (a: Dim, b: Dim): Dim | undefined => {
  if (typeof a === typeof b) return a === b ? 1 : typeof a === 'number' ? 0 : undefined
  return Number(typeof a === 'number' ? a : b) < 0 ? 0 : undefined
}

function gathered(node: NodeContext): Contents {
  const [from, at] = [node.sizes(0), node.sizes(1)]
  const picked = at?.map((index) => (typeof index === 'number' ? from?.at(index) : undefined))
  return picked?.every((item) => item !== undefined) ? picked : undefined
}

function joined(node: NodeContext): Contents {
  const parts = node.inputs.map((_, place) => node.sizes(place))
  return parts.every((part) => part !== undefined) ? parts.flat() : undefined
}

function cut(node: NodeContext): Contents {
  const [from, range] = [node.sizes(0), slices(node)?.get(0)]
  if (from === undefined || range?.start === undefined || range.length === undefined) return
  const { start, length, step } = range
  return Array.from({ length }, (_, at) => from[start + at * step] ?? 1)
}

function chosen(node: NodeContext): Contents {
  const [which, yes, no] = [0, 1, 2].map((place) => node.sizes(place))
  if (which === undefined || yes === undefined || no === undefined) return
  const all = which.map((bit, at) => (bit === 1 ? yes : no)[(bit === 1 ? yes : no).length === 1 ? 0 : at])
  return all.every((item) => item !== undefined) ? all : undefined
}

function filled(node: NodeContext): Contents {
  const count = node.constantInts(0)?.[0]
  const value = node.attributes['value']
  if (count === undefined || count > MOST || typeof value !== 'object' || !('dtype' in value)) return
  return Array.from({ length: count }, () => Number((value.data as ArrayLike<unknown>)[0]))
}

function counted(node: NodeContext): Contents {
  const [start, limit, delta] = [0, 1, 2].map((place) => node.constantInts(place)?.[0])
  if (start === undefined || limit === undefined || delta === undefined) return
  const length = Math.max(0, Math.ceil((limit - start) / delta))
  return length > MOST ? undefined : Array.from({ length }, (_, at) => start + at * delta)
}

function product(node: NodeContext): Contents {
  const sizes = node.sizes(0)
  const count = sizes === undefined ? undefined : staticCount(sizes)
  return count === undefined ? undefined : [count]
}

/** Exporters compute shapes in the graph: what is known of these small integer vectors, by operator. */
const RULES: Readonly<Record<string, (node: NodeContext) => Contents>> = {
  Add: pairwise(either((a, b) => a + b, 0)),
  Cast: kept,
  Concat: joined,
  ConstantOfShape: filled,
  Div: pairwise(numbers((a, b) => Math.trunc(a / b), 1)),
  Equal: pairwise(equal),
  Gather: gathered,
  Identity: kept,
  Max: pairwise(numbers(Math.max)),
  Min: pairwise(numbers(Math.min)),
  Mul: pairwise(either((a, b) => a * b, 1)),
  Range: counted,
  ReduceProd: product,
  Reshape: kept,
  Shape: shapePart,
  Size: (node) => {
    const count = staticCount(node.in(0).shape)
    return count === undefined ? undefined : [count]
  },
  Slice: cut,
  Squeeze: kept,
  Sub: pairwise(numbers((a, b) => a - b, 0)),
  Unsqueeze: kept,
  Where: chosen,
}

/**
 * The elements of a node's first output where it is a scalar or a vector of few integers (or truth values, as 0 and 1)
 * and inference can tell them: numbers, or names of sizes. Undefined otherwise.
 */
export function contentsOf(node: NodeContext, [output]: ReturnType<InferRule>): Contents {
  if (output === undefined || !['int64', 'int32', 'bool'].includes(output.dtype) || output.shape.length > 1) return
  const contents = RULES[node.operator]?.(node)
  const length = output.shape[0] ?? 1
  return contents !== undefined && contents.length === length && length <= MOST ? contents : undefined
}
