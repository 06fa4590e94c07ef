import type { GraphBuilder } from '../../build/graph-builder.js'
import { int64s, type Value } from '../../build/value.js'
import type { Attributes } from '../../format/node.js'
import type { Case } from '../gradient.fixture.js'
import { type Cases, positive } from './common.fixture.js'

const labels = (g: GraphBuilder, of: readonly number[], values: readonly number[], dtype: 'int32' | 'int64'): Value =>
  g.constant(dtype === 'int64' ? { ...int64s(values), shape: of } : { dtype, shape: of, data: Int32Array.from(values) })

const crossEntropy = (
  shape: readonly number[],
  values: readonly number[],
  attributes: Attributes = {},
  dtype: 'int32' | 'int64' = 'int64',
): Case => ({
  shapes: [shape],
  build: (g, [x]) => g.op('SoftmaxCrossEntropyLoss', [x, labels(g, shape.toSpliced(1, 1), values, dtype)], attributes),
})

const weighed = (attributes: Attributes): Case => ({
  shapes: [[3, 4], [4]],
  by: [0],
  domain: (value, input) => (input === 1 ? positive(value) : value),
  build: (g, [x, weights]) =>
    g.op('SoftmaxCrossEntropyLoss', [x, labels(g, [3], [1, 3, 0], 'int64'), weights], attributes),
})

/** A loss of both outputs: of the logarithms too, or of them alone. */
const withLogs = (both: boolean): Case => ({
  shapes: [[2, 3]],
  build: (g, [x]) => {
    const [loss, logs] = g.ops('SoftmaxCrossEntropyLoss', [x, labels(g, [2], [2, 0], 'int64')]) as [Value, Value]
    return both ? g.op('Mul', [logs, loss]) : logs
  },
})

export const lossCases: Cases = {
  SoftmaxCrossEntropyLoss: [
    crossEntropy([4, 3], [0, 2, 1, 1]),
    crossEntropy([1, 2], [1], {}, 'int32'),
    crossEntropy([3, 3], [0, 2, 2], { reduction: 'sum' }, 'int32'),
    crossEntropy([3, 3], [0, 2, 2], { reduction: 'none' }),
    crossEntropy([2, 3, 2], [0, 2, 2, 1]),
    crossEntropy([2, 3, 2], [0, 2, 2, 1], { reduction: 'none' }),
    crossEntropy([4, 3], [0, -1, 1, -1], { ignore_index: -1n }),
    crossEntropy([4, 3], [0, 255, 1, 2], { ignore_index: 255n, reduction: 'sum' }, 'int32'),
    ...['mean', 'sum', 'none'].map((reduction) => weighed({ reduction })),
    weighed({ ignore_index: 3n }),
    withLogs(true),
    withLogs(false),
  ],
}
