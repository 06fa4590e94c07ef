import type { GraphBuilder } from '../graph-builder.js'
import { floats, type Value } from '../value.js'
import { type Calls, ints } from './common.fixture.js'

/** x [batch, 3] as images [batch, 3, 2, 2], each element four times. */
const image = (g: GraphBuilder, x: Value): Value =>
  g.op('Tile', [g.op('Unsqueeze', [x, ints(g, [2, 3])]), ints(g, [1, 1, 2, 2])])

const tensor = (g: GraphBuilder, ...shape: number[]): Value => {
  const count = shape.reduce((a, b) => a * b, 1)
  return g.constant(
    floats(
      'float32',
      Array.from({ length: count }, (_, at) => at + 1),
      shape,
    ),
  )
}

export const spatialCalls: Calls = {
  AveragePool: (g, x) => g.op('AveragePool', [image(g, x)], { kernel_shape: [2n, 1n], pads: [1n, 0n, 0n, 0n] }),
  BatchNormalization: (g, x) =>
    g.ops('BatchNormalization', [image(g, x), ...Array.from({ length: 4 }, () => tensor(g, 3))]),
  Conv: (g, x) => g.op('Conv', [image(g, x), tensor(g, 2, 3, 2, 2), tensor(g, 2)], { auto_pad: 'SAME_UPPER' }),
  ConvTranspose: (g, x) => g.op('ConvTranspose', [image(g, x), tensor(g, 3, 2, 3, 2)], { strides: [2n, 3n] }),
  DepthToSpace: (g, x) =>
    g.op('DepthToSpace', [g.op('SpaceToDepth', [image(g, x)], { blocksize: 2n })], { blocksize: 2n }),
  GlobalAveragePool: (g, x) => g.op('GlobalAveragePool', [image(g, x)]),
  GlobalMaxPool: (g, x) => g.op('GlobalMaxPool', [image(g, x)]),
  InstanceNormalization: (g, x) => g.op('InstanceNormalization', [image(g, x), tensor(g, 3), tensor(g, 3)]),
  LayerNormalization: (g, x) => g.ops('LayerNormalization', [x, tensor(g, 3), tensor(g, 3)]),
  MaxPool: (g, x) =>
    g.ops(
      'MaxPool',
      [image(g, x)],
      { kernel_shape: [2n, 2n], strides: [2n, 2n], pads: [0n, 0n, 1n, 1n], ceil_mode: 1n },
      { outputs: 2 },
    ),
  MaxUnpool: (g, x) => {
    const window = { kernel_shape: [2n, 2n], strides: [2n, 2n] }
    const [y, indices] = g.ops('MaxPool', [image(g, x)], window, { outputs: 2 })
    return g.op('MaxUnpool', [y, indices, g.op('Shape', [image(g, x)])], window)
  },
  Resize: (g, x) => g.op('Resize', [image(g, x), undefined, g.constant(floats('float32', [1, 1, 1.5, 2], [4]))]),
  SpaceToDepth: (g, x) => g.op('SpaceToDepth', [image(g, x)], { blocksize: 2n }),
}
