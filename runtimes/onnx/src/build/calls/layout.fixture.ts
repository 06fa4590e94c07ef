import { floats } from '../value.js'
import { type Calls, ints } from './common.fixture.js'

export const layoutCalls: Calls = {
  Concat: (g, x) => g.op('Concat', [x, x], { axis: 1n }),
  Expand: (g, x) => g.op('Expand', [x, ints(g, [4, 1, 1])]),
  Flatten: (g, x) => g.op('Flatten', [x], { axis: 1n }),
  Gather: (g, x) => g.op('Gather', [x, ints(g, [2, 0])], { axis: 1n }),
  NonZero: (g, x) => g.op('NonZero', [x]),
  OneHot: (g, x) =>
    g.op('OneHot', [
      g.op('ArgMax', [x], { axis: 1n, keepdims: 0n }),
      ints(g, [3]),
      g.constant(floats('float32', [0, 1], [2])),
    ]),
  Reshape: (g, x) => g.op('Reshape', [x, ints(g, [-1, 1, 3])]),
  Shape: (g, x) => g.op('Shape', [x]),
  Size: (g, x) => g.op('Size', [x]),
  Split: (g, x) => g.ops('Split', [x, ints(g, [1, 2])], { axis: 1n }, { outputs: 2 }),
  Squeeze: (g, x) => g.op('Squeeze', [g.op('Unsqueeze', [x, ints(g, [1])]), ints(g, [1])]),
  Transpose: (g, x) => g.op('Transpose', [x]),
  Unsqueeze: (g, x) => g.op('Unsqueeze', [x, ints(g, [0, -1])]),
}
