import type { GraphBuilder } from '../../build/graph-builder.js'
import { floats, int64s, type Value } from '../../build/value.js'
import type { Attributes } from '../../format/node.js'
import type { Case } from '../gradient.fixture.js'
import type { Cases } from './common.fixture.js'

const indices = (g: GraphBuilder, shape: readonly number[], values: readonly number[]): Value =>
  g.constant({ ...int64s(values), shape })

/** An operator on one input and an index. */
const looked = (
  opType: string,
  shape: readonly number[],
  of: readonly number[],
  values: readonly number[],
  attributes: Attributes = {},
): Case => ({ shapes: [shape], build: (g, [x]) => g.op(opType, [x, indices(g, of, values)], attributes) })

const scattered = (
  opType: string,
  shapes: readonly (readonly number[])[],
  of: readonly number[],
  values: readonly number[],
  attributes: Attributes = {},
): Case => ({ shapes, build: (g, [x, updates]) => g.op(opType, [x, indices(g, of, values), updates], attributes) })

/** Distinct values well apart, so that no difference changes the order. */
const ordered = (g: GraphBuilder, x: Value): Value =>
  g.op('Add', [
    g.op('Mul', [x, g.constant(floats('float64', [0.01]))]),
    g.constant(floats('float64', [3, 1, 2, 5, 4, 0], [2, 3])),
  ])

const largest = (k: number, attributes: Attributes): Case => ({
  shapes: [[2, 3]],
  build: (g, [x]) => g.op('TopK', [ordered(g, x as Value), g.constant(int64s([k]))], attributes),
})

export const indexCases: Cases = {
  Gather: [
    looked('Gather', [4, 3], [2], [3, 0]),
    looked('Gather', [4, 3], [2, 3], [3, 0, 0, -1, 2, 3]),
    looked('Gather', [2, 4], [3], [1, 1, -4], { axis: 1n }),
    looked('Gather', [2, 3, 2], [2, 1], [2, 2], { axis: -2n }),
    looked('Gather', [2, 3, 2], [], [-1], { axis: 1n }),
    looked('Gather', [3], [], [0]),
  ],
  GatherElements: [
    looked('GatherElements', [3, 2], [2, 2], [0, 2, 0, 1]),
    looked('GatherElements', [2, 3], [2, 4], [0, 0, 2, -1, 1, 1, 1, 0], { axis: 1n }),
  ],
  GatherND: [looked('GatherND', [3, 2], [2, 1], [2, 2]), looked('GatherND', [3, 2], [2, 2], [0, 1, 2, 0])],
  ScatterElements: [
    scattered(
      'ScatterElements',
      [
        [3, 2],
        [2, 2],
      ],
      [2, 2],
      [0, 2, 1, 1],
    ),
    scattered(
      'ScatterElements',
      [
        [2, 3],
        [2, 2],
      ],
      [2, 2],
      [0, 0, 2, 1],
      { axis: 1n, reduction: 'add' },
    ),
  ],
  ScatterND: [
    scattered(
      'ScatterND',
      [
        [3, 2],
        [2, 2],
      ],
      [2, 1],
      [2, 0],
    ),
    scattered(
      'ScatterND',
      [
        [3, 2],
        [2, 2],
      ],
      [2, 1],
      [1, 1],
      { reduction: 'add' },
    ),
  ],
  TopK: [largest(2, {}), largest(1, { axis: 0n, largest: 0n })],
}
