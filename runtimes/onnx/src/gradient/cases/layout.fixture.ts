import type { Value } from '../../build/value.js'
import { type Cases, withInts } from './common.fixture.js'

export const layoutCases: Cases = {
  Expand: [withInts('Expand', [3, 1], [2, 3, 4]), withInts('Expand', [2], [1]), withInts('Expand', [], [2, 2])],
  Flatten: [[2, 3], [2, 3, 2], [4]].map((shape) => ({
    shapes: [shape],
    build: (g, [x]) => g.op('Flatten', [x as Value]),
  })),
  Reshape: [
    withInts('Reshape', [2, 3], [3, 2]),
    withInts('Reshape', [2, 3], [-1]),
    withInts('Reshape', [2, 3, 2], [0, -1]),
    withInts('Reshape', [], [1, 1]),
  ],
  Squeeze: [withInts('Squeeze', [1, 3, 1], [0, -1])],
  Transpose: [[1n, 0n], undefined].map((perm) => ({
    shapes: [[2, 3]],
    build: (g, [x]) => g.op('Transpose', [x as Value], perm ? { perm } : {}),
  })),
  Unsqueeze: [withInts('Unsqueeze', [2, 3], [0, -1])],
}
