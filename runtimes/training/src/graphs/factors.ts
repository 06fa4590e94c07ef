import { type BuiltNode, type GraphBuilder, int64s, type Value } from '@tideway/onnx'
import { FACTOR } from './names.js'

/** A gradient that is the product leftᵀ right: of a dense kernel, the layer's inputs and the slopes of its outputs. */
export interface Factors {
  readonly left: Value
  readonly right: Value
}

/** So many times smaller than their product factors have to be: below that it costs more to multiply in pieces. */
const SMALLER = 8

/** The factors of a gradient, where it is the product of two matrices that take little room beside it. */
export function factorsOf(nodes: readonly BuiltNode[], gradient: Value): Factors | undefined {
  const node = nodes.find(({ outputs }) => outputs[0]?.name === gradient.name)
  if (node?.opType !== 'Gemm') return undefined
  const { alpha = 1, transA = 0n, transB = 0n } = node.attributes
  const [left, right, added] = node.inputs
  if (Number(alpha) !== 1 || Number(transA) !== 1 || Number(transB) !== 0) return undefined
  if (left === undefined || right === undefined || added !== undefined) return undefined
  return (count(left) + count(right)) * SMALLER <= count(gradient) ? { left, right } : undefined
}

/** Elements; of a free size more than anything. */
const count = ({ shape }: Value): number =>
  shape.reduce<number>((product, size) => product * (typeof size === 'number' ? size : Number.POSITIVE_INFINITY), 1)

/** In an update graph: some rows of the product of the factors that it is given, end to end. */
export function productPiece(g: GraphBuilder): Value {
  const [left, right] = [FACTOR.left, FACTOR.right].map((name) => g.input(name, 'float32', [null, null]))
  const [begin, end] = [FACTOR.begin, FACTOR.end].map((name) => g.input(name, 'int64', [1]))
  const axis = g.constant(int64s([1]))
  const product = g.op('Gemm', [g.op('Slice', [left, begin, end, axis]), right], { transA: 1n })
  return g.op('Reshape', [product, g.constant(int64s([-1]))])
}
