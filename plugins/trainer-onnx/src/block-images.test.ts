import { differentiate, GraphBuilder, type Value, writeModel } from '@tideway/onnx'
import fc from 'fast-check'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { channelBlock } from './block.js'

const block = await channelBlock()
const SETTINGS = { seed: 7, numRuns: 40 }

interface Network {
  readonly batch: number
  readonly channels: number
  readonly kernel: readonly [number, number]
  /** Beside the kernel's size. */
  readonly gap: readonly [number, number]
  readonly pad: number
  /** Windows in the pooled image, and elements behind the last. */
  readonly counts: readonly [number, number]
  readonly rest: number
  readonly relu: 'before' | 'behind' | 'none'
  readonly isLast: boolean
  readonly outputs: 1 | 2
  readonly blocks: readonly [number, number]
}

/** Whole numbers from -2 to 2, many of them alike: sums are exact, and windows have several largest elements. */
function numbers(shape: readonly number[], seed: number): Tensor {
  let state = seed
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return ((state >>> 16) % 5) - 2
  })
  return new Tensor('float32', data, shape)
}

/** A convolution, pooling, another convolution: its output, the gradients of a sum of it, and the operators. */
async function run(network: Network, size: number | undefined, width: number) {
  const { batch, channels, kernel, gap, pad, counts, rest, relu, isLast, outputs, blocks } = network
  const g = new GraphBuilder('images', { block: size })
  const strides = kernel.map((length, axis) => length + (gap[axis] ?? 0))
  const sizes = counts.map((count, axis) => (count - 1) * (strides[axis] ?? 1) + (kernel[axis] ?? 1) - 2 * pad + rest)
  const filters = blocks.map((count) => count * width) as [number, number]
  const shapes: Record<string, number[]> = {
    x: [batch, channels, ...sizes],
    w: [filters[0], channels, 3, 3],
    b: [filters[0]],
    v: [filters[1], filters[0], 3, 3],
  }
  const [x, w, b, v] = Object.entries(shapes).map(([name, shape]) => g.input(name, 'float32', shape)) as [
    Value,
    Value,
    Value,
    Value,
  ]
  const same = { kernel_shape: [3n, 3n], pads: [1n, 1n, 1n, 1n] }
  const positive = (value: Value, isHere: boolean): Value => (isHere ? g.op('Relu', [value]) : value)
  const convolved = positive(g.op('Conv', [x, w, b], same), relu === 'before')
  const pool = {
    kernel_shape: kernel.map(BigInt),
    strides: strides.map(BigInt),
    pads: Array<bigint>(4).fill(BigInt(pad)),
  }
  const [pooled] = g.ops('MaxPool', [convolved], pool, { outputs })
  const y = g.op('Conv', [positive(pooled as Value, relu === 'behind'), v], same)
  const out = isLast ? g.op('Transpose', [g.op('Relu', [y])], { perm: [0n, 2n, 3n, 1n] }) : y
  const dy = g.input('dy', 'float32', out.shape)
  const loss = g.op('ReduceSum', [g.op('Mul', [out, dy])], { keepdims: 0n })
  const all = [out, ...differentiate(g, loss, [x, w, b, v])]
  for (const [at, value] of all.entries()) g.output(`out${at}`, value)
  const model = g.build()
  const session = await InferenceSession.create(writeModel(model), { intraOpNumThreads: 1, logSeverityLevel: 4 })
  const fed = Object.entries({ ...shapes, dy: out.shape.map(Number) })
  const results = await session.run(Object.fromEntries(fed.map(([name, shape], at) => [name, numbers(shape, at + 1)])))
  await session.release()
  return {
    // -0 is 0 here.
    out: all.map((_, at) => ((results[`out${at}`] as Tensor).data as Float32Array).map((value) => value + 0)),
    operators: model.graph?.node.map(({ domain = '', opType }) => `${domain}.${opType}`) ?? [],
  }
}

const pair = (min: number, max: number) => fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }))

const network: fc.Arbitrary<Network> = fc
  .record({
    batch: fc.integer({ min: 1, max: 3 }),
    channels: fc.integer({ min: 1, max: 4 }),
    kernel: pair(1, 3),
    gap: fc.oneof(
      { weight: 3, arbitrary: fc.constant([0, 0] as [number, number]) },
      { weight: 1, arbitrary: pair(-1, 1) },
    ),
    pad: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constant(1) }),
    counts: pair(3, 5),
    rest: fc.integer({ min: 0, max: 1 }),
    relu: fc.constantFrom('before', 'behind', 'none'),
    isLast: fc.boolean(),
    outputs: fc.constantFrom(1, 2),
    blocks: pair(1, 2),
  })
  .filter(({ kernel, gap, pad }) => kernel.every((size, axis) => size + (gap[axis] ?? 0) >= 1 && size > pad))

/** What a small classifier of images is made of. */
const classifier: Network = {
  batch: 2,
  channels: 1,
  kernel: [2, 2],
  gap: [0, 0],
  pad: 0,
  counts: [4, 4],
  rest: 0,
  relu: 'behind',
  isLast: true,
  outputs: 2,
  blocks: [1, 2],
}

// Where the machine has no blocks there is nothing to compare: the last test of this file holds there as well.
if (block !== undefined)
  describe('images that stay in blocks of channels', () => {
    it('give what the standard operators give, forwards and backwards, with ties, gaps and overlaps', async () => {
      await fc.assert(
        fc.asyncProperty(network, async (item) => {
          const [plain, blocked] = [await run(item, undefined, block), await run(item, block, block)]
          expect(blocked.out).toEqual(plain.out)
        }),
        SETTINGS,
      )
    })

    it('are pooled there, and nothing is reordered between two convolutions', async () => {
      const { operators } = await run(classifier, block, block)
      expect(operators).toContain('com.microsoft.nchwc.MaxPool')
      expect(operators).not.toContain('.MaxUnpool')
      const own = operators.filter((name) => name.startsWith('com.microsoft.nchwc.'))
      const forward = own.slice(0, own.indexOf('com.microsoft.nchwc.ReorderOutput'))
      expect(forward.filter((name) => name.endsWith('Conv'))).toHaveLength(2)
      expect(forward).not.toContain('com.microsoft.nchwc.ReorderInput')
    })
  })

it('a graph that is not told of blocks has ONNX operators alone', async () => {
  const { operators } = await run(classifier, undefined, 8)
  expect(operators).toContain('.MaxUnpool')
  expect(operators.filter((name) => !name.startsWith('.'))).toEqual([])
})
