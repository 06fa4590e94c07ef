import { int64s, type Value } from '../../build/value.js'
import type { Case } from '../gradient.fixture.js'
import type { Cases } from './common.fixture.js'

const reduceSum = (shape: readonly number[], axes: readonly number[] | undefined, keepdims: bigint): Case => ({
  shapes: [shape],
  build: (g, [x]) => g.op('ReduceSum', [x as Value, axes && g.constant(int64s(axes))], { keepdims }),
})

const reduceMean = (shape: readonly number[], axes: readonly number[] | undefined, keepdims: bigint): Case => ({
  shapes: [shape],
  build: (g, [x]) => g.op('ReduceMean', [x as Value], { keepdims, ...(axes ? { axes: axes.map(BigInt) } : {}) }),
})

export const reduceCases: Cases = {
  ReduceMean: [
    reduceMean([2, 3], undefined, 0n),
    reduceMean([2, 3], undefined, 1n),
    reduceMean([2, 3], [1], 0n),
    reduceMean([2, 3, 2], [0, -1], 0n),
    reduceMean([2, 3, 2], [1], 1n),
  ],
  ReduceSum: [
    reduceSum([2, 3], undefined, 0n),
    reduceSum([2, 3], [-1], 1n),
    reduceSum([2, 3], [0], 0n),
    reduceSum([2, 3, 2], [0, 2], 0n),
    {
      shapes: [[2, 3]],
      build: (g, [x]) => g.op('ReduceSum', [x as Value, g.constant(int64s([]))], { noop_with_empty_axes: 1n }),
    },
  ],
}
