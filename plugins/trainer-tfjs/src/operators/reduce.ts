import * as tf from '@tensorflow/tfjs-core'
import { axisOf, type Kernel, type Kernels, type NodeContext } from '../graph/node.js'

type Reduce = (x: tf.Tensor, axes: number[], keep: boolean) => tf.Tensor

/** The axes that a node reduces; undefined where it is to leave its input as it is. */
function axesOf(c: NodeContext): number[] | undefined {
  const given = c.list(1, 'axes')
  const { rank } = c.in(0)
  if (given !== undefined && given.length > 0) return given.map((axis) => axisOf(axis, rank))
  return c.int('noop_with_empty_axes', 0) === 1 ? undefined : Array.from({ length: rank }, (_, axis) => axis)
}

const reducing =
  (reduce: Reduce): Kernel =>
  (c) => {
    const axes = axesOf(c)
    return axes === undefined ? c.in(0) : reduce(c.in(0), axes, c.int('keepdims', 1) === 1)
  }

/** Of no elements it is what every number is beyond. */
const extreme = (reduce: Reduce, none: number): Kernel =>
  reducing((x, axes, keep) => (x.size > 0 ? reduce(x, axes, keep) : tf.add(tf.sum(x, axes, keep), none)))

const indexOfExtreme =
  (find: (x: tf.Tensor, axis: number) => tf.Tensor): Kernel =>
  (c) => {
    const x = c.in(0)
    const axis = axisOf(c.int('axis', 0), x.rank)
    const last = c.int('select_last_index', 0) === 1
    const found = find(last ? tf.reverse(x, axis) : x, axis)
    const index = last ? tf.sub((x.shape[axis] as number) - 1, found) : found
    return tf.cast(c.int('keepdims', 1) === 1 ? tf.expandDims(index, axis) : index, 'int32')
  }

const cumulative: Kernel = (c) => {
  const axis = axisOf(c.numbers(1)?.[0] ?? 0, c.in(0).rank)
  return tf.cumsum(c.in(0), axis, c.int('exclusive', 0) === 1, c.int('reverse', 0) === 1)
}

const topK: Kernel = (c) => {
  const x = c.in(0)
  const axis = axisOf(c.int('axis', -1), x.rank)
  const count = c.numbers(1)?.[0] ?? 1
  const isLargest = c.int('largest', 1) === 1
  const isLast = axis === x.rank - 1
  // The axis goes to the end and comes back.
  const turn = [...x.shape.keys()].filter((at) => at !== axis).concat(axis)
  const back = turn.map((_, at) => turn.indexOf(at))
  const turned = isLast ? x : tf.transpose(x, turn)
  const { values, indices } = tf.topk(isLargest ? turned : tf.neg(turned), count)
  const all = [isLargest ? values : tf.neg(values), indices]
  return isLast ? all : all.map((tensor) => tf.transpose(tensor, back))
}

/** Operators that take axes away, and those that go along one. */
export const reductions: Kernels = {
  ArgMax: indexOfExtreme(tf.argMax),
  ArgMin: indexOfExtreme(tf.argMin),
  CumSum: cumulative,
  ReduceL1: reducing((x, axes, keep) => tf.sum(tf.abs(x), axes, keep)),
  ReduceL2: reducing((x, axes, keep) => tf.sqrt(tf.sum(tf.square(x), axes, keep))),
  ReduceLogSumExp: reducing(tf.logSumExp),
  ReduceMax: extreme(tf.max, Number.NEGATIVE_INFINITY),
  ReduceMean: reducing(tf.mean),
  ReduceMin: extreme(tf.min, Number.POSITIVE_INFINITY),
  ReduceProd: reducing(tf.prod),
  ReduceSum: reducing(tf.sum),
  ReduceSumSquare: reducing((x, axes, keep) => tf.sum(tf.square(x), axes, keep)),
  TopK: topK,
}
