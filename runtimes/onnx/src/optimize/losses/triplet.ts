import type { GraphBuilder } from '../../build/graph-builder.js'
import { floats, int64s, type Value } from '../../build/value.js'
import { checkClasses, numbers, rowSums, scalar } from './common.js'

/** Squared distances below this are 0 up to the rounding of a matrix product; the root's slope there is held to 1/2e4. */
const NOTHING = 1e-8
/** Further than anything is. */
const FAR = 3e38

/**
 * The batch-hard triplet loss (Hermans, Beyer and Leibe 2017, arXiv:1703.07737, section 3): for each row of a batch of
 * embeddings [batch, n], relu(margin + distance to the furthest row of its class - distance to the nearest row of
 * another), Euclidean; the mean over the rows that have both in the batch, and 0 where none has. Int32 or int64
 * `classes` [batch]. Embeddings are taken as they are: a network that wants them of length 1 normalizes them itself.
 * Throws `GRAPH_INVALID` for other shapes and types.
 */
export function triplet(g: GraphBuilder, embeddings: Value, classes: Value, margin = 1): Value {
  checkClasses('triplet', embeddings, classes)
  const number = (value: number): Value => scalar(g, embeddings, value)
  const distance = distances(g, embeddings)
  const across = (axis: number): Value => g.op('Unsqueeze', [classes, g.constant(int64s([axis]))])
  const same = g.op('Equal', [across(0), across(1)])
  const furthest = g.op('ArgMax', [g.op('Where', [same, distance, number(-1)])], { axis: 1n, keepdims: 0n })
  const nearest = g.op('ArgMin', [g.op('Where', [same, number(FAR), distance])], { axis: 1n, keepdims: 0n })
  // A row is of its own class, at no distance: one that has no other there is not counted.
  const counts = (truth: Value, above: number): Value =>
    g.op('Greater', [rowSums(g, numbers(g, truth, embeddings)), number(above)])
  const counted = numbers(g, g.op('And', [counts(same, 1), counts(g.op('Not', [same]), 0)]), embeddings)
  const gap = g.op('Sub', [at(g, distance, furthest), at(g, distance, nearest)])
  const losses = g.op('Mul', [g.op('Relu', [g.op('Add', [gap, number(margin)])]), counted])
  const total = g.op('ReduceSum', [counted], { keepdims: 0n })
  return g.op('Div', [g.op('ReduceSum', [losses], { keepdims: 0n }), g.op('Max', [total, number(1)])])
}

/** The distance of every row to every other: √(|a|² + |b|² - 2 a b), by one matrix product. */
function distances(g: GraphBuilder, rows: Value): Value {
  const squares = g.op('ReduceSum', [g.op('Mul', [rows, rows]), g.constant(int64s([1]))], { keepdims: 1n })
  const sums = g.op('Add', [squares, g.op('Transpose', [squares], { perm: [1n, 0n] })])
  const twice = g.op('Gemm', [rows, rows], { transB: 1n, alpha: 2 })
  const squared = g.op('Relu', [g.op('Sub', [sums, twice])])
  return g.op('Sqrt', [g.op('Add', [squared, scalar(g, rows, NOTHING)])])
}

/** The element of each row at a place that no gradient flows through. */
function at(g: GraphBuilder, matrix: Value, places: Value): Value {
  const size = matrix.shape[1]
  const depth = typeof size === 'number' ? g.constant(int64s([size])) : g.op('Shape', [places])
  const mask = g.op('OneHot', [places, depth, g.constant(floats(matrix.dtype, [0, 1], [2]))])
  return rowSums(g, g.op('Mul', [matrix, mask]))
}
