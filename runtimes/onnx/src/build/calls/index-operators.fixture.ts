import { floats, int64s } from '../value.js'
import { type Calls, ints } from './common.fixture.js'

export const indexCalls: Calls = {
  ConstantOfShape: (g, x) => g.op('ConstantOfShape', [g.op('Shape', [x])], { value: floats('float32', [2], [1]) }),
  Gather: (g, x) => g.op('Gather', [x, ints(g, [2, 0])], { axis: 1n }),
  NonZero: (g, x) => g.op('NonZero', [x]),
  OneHot: (g, x) =>
    g.op('OneHot', [
      g.op('ArgMax', [x], { axis: 1n, keepdims: 0n }),
      ints(g, [3]),
      g.constant(floats('float32', [0, 1], [2])),
    ]),
  Shape: (g, x) => g.op('Shape', [x]),
  Size: (g, x) => g.op('Size', [x]),
  GatherElements: (g, x) => g.op('GatherElements', [x, g.constant({ ...int64s([0, 1]), shape: [2, 1] })], { axis: 1n }),
  GatherND: (g, x) => g.op('GatherND', [x, g.constant({ ...int64s([0, 1]), shape: [2, 1] })]),
  Range: (g) =>
    g.op(
      'Range',
      [2, 9, 3].map((value) => g.constant({ ...int64s([value]), shape: [] })),
    ),
  ScatterElements: (g, x) => {
    const at = g.constant({ ...int64s([0, 1]), shape: [2, 1] })
    return g.op('ScatterElements', [x, at, g.constant(floats('float32', [1, 2], [2, 1]))], { axis: 1n })
  },
  ScatterND: (g, x) => {
    const at = g.constant({ ...int64s([1]), shape: [1, 1] })
    return g.op('ScatterND', [x, at, g.constant(floats('float32', [1, 2, 3], [1, 3]))])
  },
}
