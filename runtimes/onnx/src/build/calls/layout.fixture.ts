import { type Calls, ints } from './common.fixture.js'

export const layoutCalls: Calls = {
  Concat: (g, x) => g.op('Concat', [x, x], { axis: 1n }),
  Expand: (g, x) => g.op('Expand', [x, ints(g, [4, 1, 1])]),
  Flatten: (g, x) => g.op('Flatten', [x], { axis: 1n }),
  Pad: (g, x) => g.op('Pad', [x, ints(g, [0, 1, 0, 2])]),
  Reshape: (g, x) => g.op('Reshape', [x, ints(g, [-1, 1, 3])]),
  Slice: (g, x) => g.op('Slice', [x, ints(g, [-1]), ints(g, [-100]), ints(g, [1]), ints(g, [-2])]),
  Split: (g, x) => g.ops('Split', [x, ints(g, [1, 2])], { axis: 1n }, { outputs: 2 }),
  Squeeze: (g, x) => g.op('Squeeze', [g.op('Unsqueeze', [x, ints(g, [1])]), ints(g, [1])]),
  Tile: (g, x) => g.op('Tile', [x, ints(g, [1, 2])]),
  Transpose: (g, x) => g.op('Transpose', [x]),
  Trilu: (g, x) => g.op('Trilu', [x]),
  Unsqueeze: (g, x) => g.op('Unsqueeze', [x, ints(g, [0, -1])]),
}
