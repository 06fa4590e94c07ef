import type { Value } from '../build/value.js'
import type { GradientContext, GradientRule } from './context.js'

/**
 * Y = A B. For matrices, Gemm multiplies by a transpose without making one; with batch axes the last two are
 * transposed and the gradient is summed over the batch axes that were broadcast.
 */
const matMul: GradientRule = (c) => {
  const [a, b] = [c.in(0), c.in(1)]
  if (a.shape.length === 2 && b.shape.length === 2) {
    return [
      c.needs(0) ? c.op('Gemm', [c.dy, b], { transB: 1n }) : undefined,
      c.needs(1) ? c.op('Gemm', [a, c.dy], { transA: 1n }) : undefined,
    ]
  }
  const dy = asMatrix(c, a, b)
  const left = a.shape.length === 1 ? c.op('Unsqueeze', [a, c.int64s([0])]) : a
  const right = b.shape.length === 1 ? c.op('Unsqueeze', [b, c.int64s([1])]) : b
  return [
    c.needs(0) ? fold(c, c.op('MatMul', [dy, transposed(c, right)]), left, a) : undefined,
    c.needs(1) ? fold(c, c.op('MatMul', [transposed(c, left), dy]), right, b) : undefined,
  ]
}

/** The gradient with the row or column axis that a vector operand left out. */
function asMatrix(c: GradientContext, a: Value, b: Value): Value {
  let dy = c.dy
  if (b.shape.length === 1) dy = c.op('Unsqueeze', [dy, c.int64s([-1])])
  if (a.shape.length === 1) dy = c.op('Unsqueeze', [dy, c.int64s([-2])])
  return dy
}

const fold = (c: GradientContext, gradient: Value, matrix: Value, input: Value): Value =>
  c.reshape(c.unbroadcast(gradient, matrix), input)

function transposed(c: GradientContext, value: Value): Value {
  const rank = value.shape.length
  const order = Array.from({ length: rank }, (_, axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis))
  return c.op('Transpose', [value], { perm: order.map(BigInt) })
}

/** Y = α A' B' + β C, where ' is a transpose or nothing. */
const gemm: GradientRule = (c) => {
  const [a, b, dy] = [c.in(0), c.in(1), c.dy]
  const transA = BigInt(c.info.int('transA', 0))
  const transB = BigInt(c.info.int('transB', 0))
  const alpha = c.info.float('alpha', 1)
  const beta = c.info.float('beta', 1)
  const product = (left: Value, right: Value, tLeft: bigint, tRight: bigint): Value =>
    c.op('Gemm', [left, right], { alpha, transA: tLeft, transB: tRight })
  const byA = (): Value => (transA === 0n ? product(dy, b, 0n, 1n - transB) : product(b, dy, transB, 1n))
  const byB = (): Value => (transB === 0n ? product(a, dy, 1n - transA, 0n) : product(dy, a, 1n, transA))
  const byC = (): Value => c.unbroadcast(beta === 1 ? dy : c.op('Mul', [dy, c.scalar(beta)]), c.in(2))
  return [c.needs(0) ? byA() : undefined, c.needs(1) ? byB() : undefined, c.needs(2) ? byC() : undefined]
}

export const productRules: Readonly<Record<string, GradientRule>> = { MatMul: matMul, Gemm: gemm }
