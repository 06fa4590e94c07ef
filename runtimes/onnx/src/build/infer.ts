import { dataTypeOf } from '../format/types.js'
import type { InferRule, NodeContext } from './context.js'
import { inferLayout } from './infer-layout.js'
import { broadcast, reduced, show } from './shapes.js'
import type { Dim } from './value.js'

const same: InferRule = (node) => node.like()

const elementwise: InferRule = (node) => {
  const [a, b] = [node.in(0), node.in(1)]
  if (a.dtype !== b.dtype) throw node.invalid(`"${a.name}" is ${a.dtype}, "${b.name}" is ${b.dtype}`)
  return node.like(broadcast(node.operator, a.shape, b.shape, node.fresh))
}

const power: InferRule = (node) => node.like(broadcast(node.operator, node.in(0).shape, node.in(1).shape, node.fresh))

const compare: InferRule = (node) => elementwise(node).map(({ shape }) => ({ dtype: 'bool', shape }))

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

const matMul: InferRule = (node) => {
  const [a, b] = [node.in(0), node.in(1)]
  if (a.dtype !== b.dtype) throw node.invalid(`"${a.name}" is ${a.dtype}, "${b.name}" is ${b.dtype}`)
  if (a.shape.length === 0 || b.shape.length === 0) throw node.invalid('a scalar has no matrix product')
  const left = a.shape.length === 1 ? [1, ...a.shape] : a.shape
  const right = b.shape.length === 1 ? [...b.shape, 1] : b.shape
  agree(node, left.at(-1), right.at(-2))
  const batch = broadcast(node.operator, left.slice(0, -2), right.slice(0, -2), node.fresh)
  const rows = a.shape.length === 1 ? [] : [left.at(-2) ?? 1]
  const columns = b.shape.length === 1 ? [] : [right.at(-1) ?? 1]
  return node.like([...batch, ...rows, ...columns])
}

const gemm: InferRule = (node) => {
  const [a, b] = [node.in(0), node.in(1)]
  if (a.shape.length !== 2 || b.shape.length !== 2)
    throw node.invalid(`${show(a.shape)} and ${show(b.shape)} are no matrices`)
  const [rows, inner] = node.int('transA', 0) === 1 ? [a.shape[1], a.shape[0]] : [a.shape[0], a.shape[1]]
  const [innerB, columns] = node.int('transB', 0) === 1 ? [b.shape[1], b.shape[0]] : [b.shape[0], b.shape[1]]
  agree(node, inner, innerB)
  const shape = [rows ?? 1, columns ?? 1]
  const bias = node.inputs[2]
  if (bias !== undefined) broadcast(node.operator, shape, bias.shape, node.fresh)
  return node.like(shape)
}

function agree(node: NodeContext, left: Dim | undefined, right: Dim | undefined): void {
  if (typeof left === 'number' && typeof right === 'number' && left !== right) {
    throw node.invalid(
      `shapes ${node.inputs.map((value) => show(value?.shape ?? [])).join(' and ')} do not fit: ${left} against ${right}`,
    )
  }
}

const cast: InferRule = (node) => {
  const dtype = dataTypeOf(node.int('to', 0))
  if (dtype === undefined) throw node.invalid('attribute "to" is no known element type')
  return node.like(undefined, dtype)
}

const where: InferRule = (node) => {
  const inner = broadcast(node.operator, node.in(1).shape, node.in(2).shape, node.fresh)
  return [{ dtype: node.in(1).dtype, shape: broadcast(node.operator, node.in(0).shape, inner, node.fresh) }]
}

/**
 * The types of what an operator gives, by operator of ONNX's default domain (https://onnx.ai/onnx/operators/).
 * To build with another operator, add its rule here or in infer-layout.ts.
 */
export const INFER: Readonly<Record<string, InferRule>> = {
  ...inferLayout,
  Abs: same,
  Exp: same,
  Identity: same,
  Log: same,
  LogSoftmax: same,
  Neg: same,
  Not: same,
  Reciprocal: same,
  Relu: same,
  Sigmoid: same,
  Sign: same,
  Softmax: same,
  Sqrt: same,
  Tanh: same,
  Add: elementwise,
  Sub: elementwise,
  Mul: elementwise,
  Div: elementwise,
  And: elementwise,
  Or: elementwise,
  Pow: power,
  Equal: compare,
  Greater: compare,
  GreaterOrEqual: compare,
  Less: compare,
  LessOrEqual: compare,
  ReduceSum: reduce,
  ReduceMean: reduce,
  ReduceMax: reduce,
  ReduceMin: reduce,
  ArgMax: argReduce,
  ArgMin: argReduce,
  MatMul: matMul,
  Gemm: gemm,
  Cast: cast,
  Where: where,
}
