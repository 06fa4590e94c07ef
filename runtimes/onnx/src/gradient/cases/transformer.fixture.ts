import type { GraphBuilder } from '../../build/graph-builder.js'
import { floats, int64s, type Value } from '../../build/value.js'

export interface BlockOptions {
  readonly width: number
  readonly heads: number
  /** A new weight of this shape. */
  readonly weight: (...shape: readonly number[]) => Value
}

/**
 * An encoder block (Vaswani et al. 2017, arXiv:1706.03762), normalised before each part (Xiong et al. 2020,
 * arXiv:2002.04745): x [batch, steps, width] plus its attention to itself, plus two dense layers. Queries meet keys in
 * MatMul, weights meet values in Einsum, so that both ways of writing it are covered.
 */
export function transformerBlock(g: GraphBuilder, x: Value, { width, heads, weight }: BlockOptions): Value {
  const steps = Number(x.shape[1])
  const normal = (value: Value): Value =>
    g.op('LayerNormalization', [value, weight(width), weight(width)], { axis: -1n, epsilon: 1e-3 })
  const dense = (value: Value, from: number, to: number): Value =>
    g.op('Add', [g.op('MatMul', [value, weight(from, to)]), weight(to)])
  const shape = (...sizes: readonly number[]): Value => g.constant(int64s(sizes))

  const input = normal(x)
  const [q, k, v] = [0, 1, 2].map(() =>
    g.op('Reshape', [dense(input, width, width), shape(-1, steps, heads, width / heads)]),
  )
  const queries = g.op('Transpose', [q], { perm: [0n, 2n, 1n, 3n] })
  const keys = g.op('Transpose', [k], { perm: [0n, 2n, 3n, 1n] })
  const scale = g.constant(floats(x.dtype, [Math.sqrt(width / heads)]))
  const attention = g.op('Softmax', [g.op('Div', [g.op('MatMul', [queries, keys]), scale])], { axis: -1n })
  const mixed = g.op('Einsum', [attention, v], { equation: 'bhqk,bkhd->bqhd' })
  const middle = g.op('Add', [x, dense(g.op('Reshape', [mixed, shape(-1, steps, width)]), width, width)])
  const wide = g.op('Gelu', [dense(normal(middle), width, 2 * width)], { approximate: 'tanh' })
  return g.op('Add', [middle, dense(wide, 2 * width, width)])
}
