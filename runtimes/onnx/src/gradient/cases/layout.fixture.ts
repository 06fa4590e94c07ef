import { int64s, type Value } from '../../build/value.js'
import type { Case } from '../gradient.fixture.js'
import { type Cases, withInts } from './common.fixture.js'

const joined = (axis: bigint, shapes: readonly (readonly number[])[], by?: readonly number[]): Case => ({
  shapes,
  ...(by && { by }),
  build: (g, inputs) => g.op('Concat', inputs, { axis }),
})

/** Some of the parts, weighed differently; a part that nothing uses has no gradient. */
const parted = (
  shape: readonly number[],
  axis: bigint,
  sizes: readonly number[] | undefined,
  used: readonly number[],
): Case => ({
  shapes: [shape],
  build: (g, [x]) => {
    const outputs = sizes?.length ?? 2
    const parts = g.ops('Split', [x, sizes && g.constant(int64s(sizes))], { axis }, { outputs })
    const sums = used.map((part) => g.op('ReduceSum', [g.op('Exp', [parts[part]])], { keepdims: 0n }))
    return sums.reduce((sum, value, at) => g.op('Add', [sum, at % 2 === 0 ? value : g.op('Neg', [value])]))
  },
})

const cut = (shape: readonly number[], ...ranges: readonly (readonly number[])[]): Case => ({
  shapes: [shape],
  build: (g, [x]) => g.op('Slice', [x, ...ranges.map((range) => g.constant(int64s(range)))]),
})

const padded = (shape: readonly number[], pads: readonly number[], mode: string): Case => ({
  shapes: [shape],
  build: (g, [x]) => g.op('Pad', [x, g.constant(int64s(pads))], { mode }),
})

export const layoutCases: Cases = {
  Concat: [
    joined(0n, [[2, 3]]),
    joined(0n, [
      [2, 3],
      [1, 3],
      [3, 3],
    ]),
    joined(-1n, [
      [2, 1],
      [2, 2],
    ]),
    joined(
      1n,
      [
        [2, 1],
        [2, 2],
        [2, 3],
      ],
      [1],
    ),
    joined(
      1n,
      [
        [2, 1],
        [2, 2],
        [2, 3],
      ],
      [0, 2],
    ),
    joined(0n, [[2], [1]]),
  ],
  Expand: [withInts('Expand', [3, 1], [2, 3, 4]), withInts('Expand', [2], [1]), withInts('Expand', [], [2, 2])],
  Flatten: [[2, 3], [2, 3, 2], [4]].map((shape) => ({
    shapes: [shape],
    build: (g, [x]) => g.op('Flatten', [x as Value]),
  })),
  Pad: [
    padded([3], [1, 2], 'constant'),
    padded([2, 3], [0, 1, 2, 0], 'constant'),
    padded([3, 3], [-1, 1, 0, -1], 'constant'),
    padded([3, 4], [2, 1, 1, 3], 'reflect'),
    padded([2, 3], [1, 0, 2, 3], 'edge'),
    {
      shapes: [[2, 3], []],
      build: (g, [x, value]) => g.op('Pad', [x, g.constant(int64s([1, 0, 0, 2])), value]),
    },
  ],
  Reshape: [
    withInts('Reshape', [2, 3], [3, 2]),
    withInts('Reshape', [2, 3], [-1]),
    withInts('Reshape', [2, 3, 2], [0, -1]),
    withInts('Reshape', [], [1, 1]),
  ],
  Slice: [
    cut([4], [1], [3]),
    cut([3, 4], [1, 0], [3, 100]),
    cut([3, 4], [-2], [-1], [1]),
    cut([5, 3], [0], [5], [0], [2]),
    cut([5, 3], [-1, 2], [-100, 0], [0, 1], [-2, -1]),
    cut([2, 3], [1], [1], [1]),
  ],
  Split: [
    parted([4, 3], 0n, undefined, [0, 1]),
    parted([2, 6], -1n, [1, 2, 3], [0, 1, 2]),
    parted([2, 6], 1n, [1, 2, 3], [2]),
    parted([3, 2], 0n, [3], [0]),
  ],
  Squeeze: [withInts('Squeeze', [1, 3, 1], [0, -1])],
  Tile: [
    withInts('Tile', [2, 3], [2, 1]),
    withInts('Tile', [3], [3]),
    withInts('Tile', [1, 2, 1], [2, 1, 3]),
    withInts('Tile', [2, 2], [1, 1]),
  ],
  Transpose: [[1n, 0n], undefined].map((perm) => ({
    shapes: [[2, 3]],
    build: (g, [x]) => g.op('Transpose', [x as Value], perm ? { perm } : {}),
  })),
  Trilu: [
    { shapes: [[3, 3]], build: (g, [x]) => g.op('Trilu', [x]) },
    {
      shapes: [[2, 3, 4]],
      build: (g, [x]) => g.op('Trilu', [x, g.constant({ ...int64s([1]), shape: [] })], { upper: 0n }),
    },
  ],
  Unsqueeze: [withInts('Unsqueeze', [2, 3], [0, -1])],
}
