import type { DataType } from '@tideway/core'
import { dataTypeOf } from '../format/types.js'
import type { InferRule, NodeContext } from './context.js'
import { broadcast } from './shapes.js'
import type { Dim, Value } from './value.js'

const same: InferRule = (node) => node.like()

const truth: InferRule = (node) => node.like(undefined, 'bool')

function alike(node: NodeContext, a: Value, b: Value): void {
  if (a.dtype !== b.dtype) throw node.invalid(`"${a.name}" is ${a.dtype}, "${b.name}" is ${b.dtype}`)
}

/** Any number of inputs of one type that broadcast against each other. */
const variadic: InferRule = (node) => {
  const first = node.in(0)
  const shape = node.inputs.slice(1).reduce<readonly Dim[]>((sizes, _, place) => {
    const next = node.in(place + 1)
    alike(node, first, next)
    return broadcast(node.operator, sizes, next.shape, node.fresh)
  }, first.shape)
  return node.like(shape)
}

const binary: InferRule = (node) => {
  alike(node, node.in(0), node.in(1))
  return node.like(broadcast(node.operator, node.in(0).shape, node.in(1).shape, node.fresh))
}

const power: InferRule = (node) => node.like(broadcast(node.operator, node.in(0).shape, node.in(1).shape, node.fresh))

const compare: InferRule = (node) => binary(node).map(({ shape }) => ({ dtype: 'bool', shape }))

/** The first input's shape; the second is broadcast to it, not the other way round. */
const slope: InferRule = (node) => {
  const { shape } = node.in(0)
  const both = broadcast(node.operator, shape, node.in(1).shape, node.fresh)
  if (both.length !== shape.length) throw node.invalid('the slope has more axes than the input')
  return node.like()
}

const cast: InferRule = (node) => {
  const dtype = dataTypeOf(node.int('to', 0))
  if (dtype === undefined) throw node.invalid('attribute "to" is no known element type')
  return node.like(undefined, dtype)
}

const where: InferRule = (node) => {
  alike(node, node.in(1), node.in(2))
  const inner = broadcast(node.operator, node.in(1).shape, node.in(2).shape, node.fresh)
  return [{ dtype: node.in(1).dtype, shape: broadcast(node.operator, node.in(0).shape, inner, node.fresh) }]
}

/** The mask comes along whenever the node may be in training mode: its gradient needs it. */
const dropout: InferRule = (node) => {
  const mask = { dtype: 'bool' as DataType, shape: node.in(0).shape }
  return node.outputCount > 1 || node.inputs[2] !== undefined ? [...node.like(), mask] : node.like()
}

const table = (rule: InferRule, operators: string): Record<string, InferRule> =>
  Object.fromEntries(operators.split(' ').map((operator) => [operator, rule]))

/** Operators that take each element, or each tuple of elements, by itself (and those whose output is like their input). */
export const inferElementwise: Readonly<Record<string, InferRule>> = {
  ...table(
    same,
    'Abs Ceil Clip Cos Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity LeakyRelu Log LogSoftmax Neg Not',
  ),
  ...table(same, 'Reciprocal Relu Round Selu Sigmoid Sign Sin Softmax Softplus Softsign Sqrt Tanh'),
  ...table(binary, 'Add Sub Mul Div Mod And Or Xor'),
  ...table(variadic, 'Max Mean Min Sum'),
  ...table(compare, 'Equal Greater GreaterOrEqual Less LessOrEqual'),
  ...table(truth, 'IsInf IsNaN'),
  Cast: cast,
  Dropout: dropout,
  PRelu: slope,
  Pow: power,
  Where: where,
}
