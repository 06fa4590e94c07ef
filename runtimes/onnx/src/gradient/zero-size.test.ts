import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { floats, int64s, type Value } from '../build/value.js'
import { differentiate } from './differentiate.js'
import { evaluate } from './gradient.fixture.js'

const ints = (g: GraphBuilder, ...values: readonly number[]): Value => g.constant(int64s(values))

/** Networks on x [batch, 3] with weights w [3, 3] and a bias b [3]. */
const FORMS: Readonly<Record<string, (g: GraphBuilder, x: Value, w: Value, b: Value) => Value>> = {
  'Gemm and an activation': (g, x, w, b) => g.op('Gelu', [g.op('Gemm', [x, w, b])], { approximate: 'tanh' }),
  'MatMul and a broadcast sum': (g, x, w, b) => g.op('Sigmoid', [g.op('Add', [g.op('MatMul', [x, w]), b])]),
  'a softmax': (g, x, w, b) => g.op('Softmax', [g.op('Gemm', [x, w, b])]),
  'reductions over the classes': (g, x, w, b) => {
    const y = g.op('Gemm', [x, w, b])
    const reduced = ['ReduceMax', 'ReduceMean', 'ReduceLogSumExp', 'ReduceL2', 'ReduceSumSquare'].map((opType) =>
      g.op(opType, [y], { axes: [1n], keepdims: 1n }),
    )
    return g.op('Concat', reduced, { axis: 1n })
  },
  'Split, Slice, Pad, Tile and Transpose': (g, x, w, b) => {
    const [left, right] = g.ops('Split', [g.op('Gemm', [x, w, b]), ints(g, 1, 2)], { axis: 1n }, { outputs: 2 })
    const padded = g.op('Pad', [left, ints(g, 0, 1, 0, 1)])
    const cut = g.op('Slice', [right, ints(g, 1), ints(g, -5), ints(g, 1), ints(g, -1)])
    return g.op('Transpose', [g.op('Tile', [g.op('Concat', [padded, cut], { axis: 1n }), ints(g, 1, 2)])])
  },
  'Max, Min, Where and Clip': (g, x, w, b) => {
    const y = g.op('Gemm', [x, w, b])
    const limit = g.constant(floats('float32', [0.5]))
    return g.op('Where', [g.op('Less', [y, limit]), g.op('Max', [y, b]), g.op('Min', [g.op('Clip', [y, limit]), b])])
  },
  'rows looked up': (g, x, w, b) => {
    const rows = g.op('ArgMax', [x], { axis: 1n, keepdims: 0n })
    return g.op('Add', [g.op('Gather', [w, rows]), b])
  },
  'a sum of cross-entropies': (g, x, w, b) => {
    const labels = g.op('ArgMax', [x], { axis: 1n, keepdims: 0n })
    return g.op('SoftmaxCrossEntropyLoss', [g.op('Gemm', [x, w, b]), labels], { reduction: 'sum' })
  },
}

describe('a batch of no rows', () => {
  for (const [form, build] of Object.entries(FORMS)) {
    it(`gives gradients of 0 to the parameters, through ${form}`, async () => {
      for (const batch of [0, null]) {
        const g = new GraphBuilder('empty')
        const x = g.input('x', 'float32', [batch, 3])
        const [w, b] = [g.input('w', 'float32', [3, 3]), g.input('b', 'float32', [3])]
        const loss = g.op('ReduceSum', [build(g, x, w, b)], { keepdims: 0n })
        for (const [at, gradient] of differentiate(g, loss, [w, b]).entries())
          g.output(['dw', 'db'][at] ?? '', gradient)
        const feeds = {
          x: floats('float32', [], [0, 3]),
          w: floats('float32', [1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 3]),
          b: floats('float32', [1, 2, 3], [3]),
        }
        const used = new Set(g.nodes.flatMap((node) => (node.parts ?? [node]).flatMap((part) => part.inputs)))
        const out = await evaluate(
          g,
          Object.fromEntries(Object.entries(feeds).filter(([name]) => [...used].some((value) => value?.name === name))),
        )
        expect(out['dw']?.map(Math.abs)).toEqual(Array.from({ length: 9 }, () => 0))
        expect(out['db']?.map(Math.abs)).toEqual([0, 0, 0])
      }
    })
  }
})
