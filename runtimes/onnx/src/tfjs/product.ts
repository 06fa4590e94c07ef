import type { Dim, Value } from '../build/value.js'
import { einsum } from './einsum.js'
import type { Emission, Rule, Rules } from './emission.js'
import { attr, type Ref, WITH_BIAS } from './graph-def.js'
import { permuted } from './tensor.js'

/** numpy's matmul: leading axes broadcast, a vector counts as a row or a column. */
const matMul: Rule = (e) => {
  const [a, b] = [e.in(0), e.in(1)]
  const left = a.shape.length === 1 ? [1, ...a.shape] : a.shape
  const right = b.shape.length === 1 ? [...b.shape, 1] : b.shape
  const shaped = (value: Value, shape: readonly Dim[]): Ref => {
    const ref = e.values.first(value)
    return shape === value.shape ? ref : e.reshape(ref, shape)
  }
  const product = multiply(e, { ref: shaped(a, left), shape: left }, { ref: shaped(b, right), shape: right })
  return a.shape.length === 1 || b.shape.length === 1 ? e.reshape(product, e.out.shape) : product
}

interface Matrices {
  readonly ref: Ref
  readonly shape: readonly Dim[]
}

function multiply(e: Emission, a: Matrices, b: Matrices): Ref {
  const [rank, other] = [a.shape.length, b.shape.length]
  if (rank === 2 && other === 2) return e.op('MatMul', [a.ref, b.ref])
  const width = a.shape[rank - 1] as Dim
  // Of rows alone there is one product for all matrices.
  if (other === 2 && typeof width === 'number') {
    const rows = e.op('Reshape', [a.ref, e.ints([-1, width])])
    return e.reshape(e.op('MatMul', [rows, b.ref]), [...a.shape.slice(0, -1), b.shape[1] as Dim])
  }
  const both = Math.max(rank, other)
  const [left, right] = [a, b].map(({ ref, shape }): Matrices => {
    if (shape.length === both) return { ref, shape }
    const next = [...Array<number>(both - shape.length).fill(1), ...shape]
    return { ref: e.reshape(ref, next), shape: next }
  }) as [Matrices, Matrices]
  const [outer, inner] = [left.shape.slice(0, -2), right.shape.slice(0, -2)]
  // The engine repeats the fewer matrices as a whole: right where only leading axes differ, of which one side has one.
  const differing = outer.findLastIndex((size, axis) => size !== inner[axis]) + 1
  const isOne = (shape: readonly Dim[]) => shape.slice(0, differing).every((size) => size === 1)
  if (differing <= 1 || isOne(outer) || isOne(inner)) return e.op('BatchMatMulV2', [left.ref, right.ref])
  const wide = ({ ref }: Matrices, own: readonly Dim[], other: readonly Dim[]): Ref => {
    const times = own.map((size, axis) => (axis > 0 && size === 1 ? (other[axis] as Dim) : 1))
    if (isOne(times)) return ref
    return e.op('Tile', [ref, e.ints(e.known([...times, 1, 1], 'how often its matrices are repeated,'))])
  }
  return e.op('BatchMatMulV2', [wide(left, outer, inner), wide(right, inner, outer)])
}

/** Weights are turned here. Fused with a bias, a product with turned factors is wrong on the wasm backend (4.22). */
const gemm: Rule = (e) => {
  const [alpha, beta] = [e.info.float('alpha', 1), e.info.float('beta', 1)]
  const isTurned = (name: string) => e.info.int(name, 0) === 1
  const weights = isTurned('transB') ? e.constant(1) : undefined
  const b = weights === undefined ? e.first(1) : e.stored(permuted(weights, [1, 0]), 'weights')
  const turns = [isTurned('transA'), isTurned('transB') && weights === undefined] as const
  const factors = [e.first(0), b]
  const bias = beta === 0 ? undefined : e.maybe(2)
  const isVector = bias !== undefined && bias.shape.length === 1 && bias.shape[0] === e.out.shape[1]
  if (isVector && alpha === 1 && beta === 1 && !turns.includes(true))
    return e.op('_FusedMatMul', [...factors, e.values.first(bias)], WITH_BIAS)
  const product = e.op('MatMul', factors, { transpose_a: attr.bool(turns[0]), transpose_b: attr.bool(turns[1]) })
  const scaled = alpha === 1 ? product : e.op('Mul', [product, e.number(alpha)])
  if (bias === undefined) return scaled
  const added = e.values.first(bias)
  return e.op('AddV2', [scaled, beta === 1 ? added : e.op('Mul', [added, e.number(beta)])])
}

/** Matrix products. */
export const products: Rules = {
  Einsum: einsum,
  Gemm: gemm,
  MatMul: matMul,
}
