import { GraphBuilder, writeModel } from '@tideway/onnx'
import { InferenceSession, Tensor } from 'onnxruntime-node'

/** ONNX Runtime's reordering needs channels in fours; what it fills them up to is its block. */
const FEW_CHANNELS = 4
const SIDE = 5

let found: Promise<number | undefined> | undefined

/**
 * Channels in a block of ONNX Runtime's convolutions on blocks of channels on this machine (8 with AVX2, 16 with
 * AVX-512); undefined where it has none, or where theirs are not the results of the standard operators: they are the
 * engine's own, and another version may have other ones. Found out once a process.
 */
export function channelBlock(): Promise<number | undefined> {
  found ??= findBlock().catch(() => undefined)
  return found
}

async function findBlock(): Promise<number | undefined> {
  const x = new Tensor('float32', new Float32Array(FEW_CHANNELS), [1, FEW_CHANNELS, 1, 1])
  const { y } = await runOnce(reordering(), { x })
  const block = y?.dims[1] ?? 0
  if (block <= FEW_CHANNELS) return undefined
  return (await agrees(block)) ? block : undefined
}

function reordering(): GraphBuilder {
  const g = new GraphBuilder('reordering')
  const x = g.input('x', 'float32', [1, FEW_CHANNELS, 1, 1])
  // Its output is larger than inferred where a block is: a free size says so.
  const [y] = g.ops(
    'com.microsoft.nchwc.ReorderInput',
    [x],
    {},
    { types: [{ dtype: 'float32', shape: [1, 'c', 1, 1] }] },
  )
  g.output('y', y!)
  return g
}

/** Whether convolutions of every kind, pooling and channels last, from blocks and to them, give what they give without. */
async function agrees(block: number): Promise<boolean> {
  const channels = 2 * block
  const shapes = {
    x: [2, 3, 2 * SIDE, 2 * SIDE],
    few: [channels, 3, 3, 3],
    depthwise: [channels, 1, 3, 3],
    dense: [channels, channels, 3, 3],
  }
  const feeds = Object.fromEntries(
    Object.entries(shapes).map(([name, shape], at) => [name, new Tensor('float32', waves(shape, at + 1), shape)]),
  )
  const results = await Promise.all(
    [undefined, block].map((size) => {
      const g = new GraphBuilder('check', { block: size })
      const [x, few, depthwise, dense] = Object.entries(shapes).map(([name, shape]) => g.input(name, 'float32', shape))
      const padded = { kernel_shape: [3n, 3n], pads: [1n, 1n, 1n, 1n] }
      const tiles = { kernel_shape: [2n, 2n], strides: [2n, 2n] }
      const pooled = g.op('MaxPool', [g.op('Conv', [x, few], padded)], tiles)
      const apart = g.op('Conv', [pooled, depthwise], { ...padded, group: BigInt(channels) })
      const last = g.op('Transpose', [apart], { perm: [0n, 2n, 3n, 1n] })
      const first = g.op('Transpose', [g.op('Abs', [last])], { perm: [0n, 3n, 1n, 2n] })
      g.output('y', g.op('Conv', [first, dense], { ...padded, strides: [2n, 2n] }))
      return runOnce(g, feeds)
    }),
  )
  const [plain, blocked] = results.map(({ y }) => y?.data as Float32Array)
  // Sums of 9 · 2 blocks of products of at most 243 in size: float32 in another order.
  return plain?.every((value, at) => Math.abs(value - (blocked?.[at] ?? Number.NaN)) < 2e-2) ?? false
}

const waves = (shape: readonly number[], seed: number): Float32Array =>
  Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, at) => Math.sin(seed + at * seed))

async function runOnce(g: GraphBuilder, feeds: Record<string, Tensor>): Promise<InferenceSession.OnnxValueMapType> {
  const session = await InferenceSession.create(writeModel(g.build()), {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    // An engine without these operators says so as an error, which is an answer here.
    logSeverityLevel: 4,
  })
  try {
    return await session.run(feeds)
  } finally {
    await session.release()
  }
}
