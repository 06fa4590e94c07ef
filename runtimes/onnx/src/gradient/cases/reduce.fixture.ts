import { int64s, type Value } from '../../build/value.js'
import type { Attributes } from '../../format/node.js'
import type { Case } from '../gradient.fixture.js'
import { away, type Cases } from './common.fixture.js'

const reduceSum = (shape: readonly number[], axes: readonly number[] | undefined, keepdims: bigint): Case => ({
  shapes: [shape],
  build: (g, [x]) => g.op('ReduceSum', [x as Value, axes && g.constant(int64s(axes))], { keepdims }),
})

const reduceMean = (shape: readonly number[], axes: readonly number[] | undefined, keepdims: bigint): Case => ({
  shapes: [shape],
  build: (g, [x]) => g.op('ReduceMean', [x as Value], { keepdims, ...(axes ? { axes: axes.map(BigInt) } : {}) }),
})

/** A reduction with its axes as an attribute, over some, over all, kept or not. */
const byAttribute = (opType: string, domain?: Case['domain']): Case[] =>
  (
    [
      [[3], undefined, 0n],
      [[2, 3], undefined, 1n],
      [[2, 3], [1], 0n],
      [[2, 3, 2], [0, -1], 0n],
      [[2, 3, 2], [1], 1n],
      [[1, 3], [0], 0n],
    ] as const
  ).map(([shape, axes, keepdims]) => ({
    shapes: [shape],
    domain,
    build: (g, [x]) => g.op(opType, [x], { keepdims, ...(axes ? { axes: axes.map(BigInt) } : {}) }),
  }))

const running = (shape: readonly number[], axis: number, attributes: Attributes = {}): Case => ({
  shapes: [shape],
  build: (g, [x]) => g.op('CumSum', [x, g.constant({ ...int64s([axis]), shape: [] })], attributes),
})

export const reduceCases: Cases = {
  CumSum: [
    running([3], 0),
    running([2, 3], -1, { reverse: 1n }),
    running([2, 3], 0, { exclusive: 1n }),
    running([2, 3, 2], 1, { exclusive: 1n, reverse: 1n }),
  ],
  ReduceL1: byAttribute('ReduceL1', away),
  ReduceL2: byAttribute('ReduceL2', away),
  ReduceLogSumExp: byAttribute('ReduceLogSumExp'),
  ReduceMax: byAttribute('ReduceMax'),
  ReduceMin: byAttribute('ReduceMin'),
  ReduceSumSquare: byAttribute('ReduceSumSquare'),
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
