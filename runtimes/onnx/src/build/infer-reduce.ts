import type { InferRule, NodeContext } from './context.js'
import { reduced } from './shapes.js'
import type { Dim } from './value.js'

/** Axes as an attribute (ReduceMean before opset 18) or as an input (ReduceSum from 13); all axes when left out. */
export function reduceAxes(node: NodeContext): number[] | undefined {
  const rank = node.in(0).shape.length
  const axes = node.ints('axes') ?? node.constantInts(1)
  if (axes === undefined && node.inputs[1] !== undefined) return undefined
  if (axes === undefined || axes.length === 0) {
    return node.int('noop_with_empty_axes', 0) === 1 ? [] : Array.from({ length: rank }, (_, axis) => axis)
  }
  return axes.map((axis) => node.axis(axis, rank))
}

const reduce: InferRule = (node) => {
  const axes = reduceAxes(node)
  const keepDims = node.int('keepdims', 1) === 1
  if (axes !== undefined) return node.like(reduced(node.in(0).shape, axes, keepDims))
  if (!keepDims) throw node.invalid('axes computed at run time need keepdims')
  return node.like(node.in(0).shape.map(() => node.fresh()))
}

const argReduce: InferRule = (node) => {
  const axis = node.axis(node.int('axis', 0), node.in(0).shape.length)
  return [{ dtype: 'int64', shape: reduced(node.in(0).shape, [axis], node.int('keepdims', 1) === 1) }]
}

/** The largest k along an axis and where they were. */
const topK: InferRule = (node) => {
  const { shape, dtype } = node.in(0)
  const axis = node.axis(node.int('axis', -1), shape.length)
  const k: Dim = node.constantInts(1)?.[0] ?? node.fresh()
  const sizes = shape.map((size, at) => (at === axis ? k : size))
  return [
    { dtype, shape: sizes },
    { dtype: 'int64', shape: sizes },
  ]
}

/** The loss and, always, the logarithms of the probabilities: the gradient needs them. */
const crossEntropy: InferRule = (node) => {
  const [scores, labels] = [node.in(0), node.in(1)]
  if (scores.shape.length < 2 || labels.shape.length !== scores.shape.length - 1)
    throw node.invalid('it takes scores [batch, classes, ...] and labels [batch, ...]')
  if (labels.dtype !== 'int32' && labels.dtype !== 'int64')
    throw node.invalid(`the labels are ${labels.dtype}, not int32 or int64`)
  const whole = node.attributes['reduction'] === 'none' ? labels.shape : []
  return [...node.like(whole), ...node.like()]
}

/** Operators that go over whole axes. */
export const inferReduce: Readonly<Record<string, InferRule>> = {
  ArgMax: argReduce,
  ArgMin: argReduce,
  CumSum: (node) => node.like(),
  ReduceL1: reduce,
  ReduceL2: reduce,
  ReduceLogSumExp: reduce,
  ReduceMax: reduce,
  ReduceMean: reduce,
  ReduceMin: reduce,
  ReduceProd: reduce,
  ReduceSum: reduce,
  ReduceSumSquare: reduce,
  SoftmaxCrossEntropyLoss: crossEntropy,
  TopK: topK,
}
