import { type Attributes, differentiate, GraphBuilder, type Value, writeModel } from '@tideway/onnx'
import fc from 'fast-check'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { channelBlock } from './block.js'

const block = await channelBlock()
/** The same shapes and numbers in every run of the tests. */
const SETTINGS = { seed: 20260229, numRuns: 40 }

const bigints = (values: readonly number[]): bigint[] => values.map(BigInt)
const waves = (shape: readonly number[], seed: number): Tensor => {
  const size = shape.reduce((a, b) => a * b, 1)
  return new Tensor(
    'float32',
    Float32Array.from({ length: size }, (_, at) => Math.sin(seed + at * seed * 0.7)),
    shape,
  )
}

interface Layer {
  readonly batch: number
  readonly channels: number
  readonly filters: number
  readonly group: number
  readonly sizes: readonly number[]
  readonly attributes: Attributes
  readonly kernel: readonly number[]
}

/** y and the gradients of Σ y · dy by x, w and b, and the domains of the operators that gave them. */
async function run(layer: Layer, size: number | undefined): Promise<{ out: Float32Array[]; domains: Set<string> }> {
  const g = new GraphBuilder('convolution', { block: size })
  const { batch, channels, filters, group, sizes, kernel } = layer
  const shapes = { x: [batch, channels, ...sizes], w: [filters, channels / group, ...kernel], b: [filters] }
  const inputs = Object.entries(shapes).map(([name, shape]) => g.input(name, 'float32', shape))
  const y = g.op('Conv', inputs, { ...layer.attributes, group: BigInt(group) })
  const dy = g.input('dy', 'float32', y.shape)
  const loss = g.op('ReduceSum', [g.op('Mul', [y, dy])], { keepdims: 0n })
  const all: Value[] = [y, ...differentiate(g, loss, inputs)]
  for (const [at, value] of all.entries()) g.output(`out${at}`, value)
  const model = g.build()
  const session = await InferenceSession.create(writeModel(model), { intraOpNumThreads: 1, logSeverityLevel: 4 })
  const feeds = Object.fromEntries(
    Object.entries({ ...shapes, dy: y.shape.map(Number) }).map(([name, shape], at) => [name, waves(shape, at + 1)]),
  )
  const results = await session.run(feeds)
  await session.release()
  return {
    out: all.map((_, at) => results[`out${at}`]?.data as Float32Array),
    domains: new Set(model.graph?.node.map(({ domain = '' }) => domain)),
  }
}

const along = (rank: number, min: number, max: number) =>
  fc.array(fc.integer({ min, max }), { minLength: rank, maxLength: rank })

const layersOf = (size: number): fc.Arbitrary<Layer> =>
  fc.integer({ min: 1, max: 2 }).chain((rank) =>
    fc
      .record({
        batch: fc.integer({ min: 1, max: 9 }),
        form: fc.constantFrom('dense', 'grouped', 'depthwise'),
        channels: fc.integer({ min: 1, max: 2 }),
        filters: fc.integer({ min: 1, max: 2 }),
        sizes: along(rank, 7, 13),
        kernel: along(rank, 2, 4),
        strides: along(rank, 1, 2),
        dilations: along(rank, 1, 2),
        pads: along(2 * rank, 0, 2),
      })
      .map(({ form, channels, filters, strides, dilations, pads, ...rest }) => ({
        ...rest,
        channels: size * channels * (form === 'grouped' ? 2 : 1),
        filters: size * (form === 'depthwise' ? channels : filters) * (form === 'grouped' ? 2 : 1),
        group: form === 'dense' ? 1 : form === 'grouped' ? 2 : size * channels,
        attributes: {
          kernel_shape: bigints(rest.kernel),
          strides: bigints(strides),
          dilations: bigints(dilations),
          pads: bigints(pads),
        },
      })),
  )

// Where the machine has no blocks there is nothing to compare: the last test of this file holds there as well.
if (block !== undefined)
  describe('convolutions on blocks of channels', () => {
    const size = block

    it('are 4, 8 or 16 channels wide, as the processor has registers', () => {
      expect([4, 8, 16]).toContain(size)
    })

    it('give what the standard operators give, forwards and backwards, over random shapes', async () => {
      await fc.assert(
        fc.asyncProperty(layersOf(size), async (layer) => {
          const [plain, blocked] = [await run(layer, undefined), await run(layer, size)]
          expect(blocked.domains).toContain('com.microsoft.nchwc')
          for (const [at, values] of plain.out.entries()) {
            const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1)
            // float32 sums of up to a few thousand products in another order.
            const apart = values.map((value, place) => Math.abs(value - (blocked.out[at]?.[place] ?? Number.NaN)))
            expect(Math.max(...apart) / largest).toBeLessThan(2e-5)
          }
        }),
        SETTINGS,
      )
    })

    it.each([
      ['more channels than a block that fill none', { channels: size + 1, filters: size, group: 1, kernel: [3, 3] }],
      ['filters that fill no block', { channels: size, filters: size + 1, group: 1, kernel: [3, 3] }],
      ['a kernel of one element', { channels: size, filters: size, group: 1, kernel: [1, 1] }],
    ])('are not used for %s', async (_, shape) => {
      const attributes = { kernel_shape: bigints(shape.kernel) }
      const { domains } = await run({ batch: 2, sizes: [6, 6], attributes, ...shape }, size)
      expect([...domains]).toEqual([''])
    })
  })

it('a graph that is not told of blocks has ONNX operators alone', async () => {
  const layer = { batch: 3, channels: 16, filters: 16, group: 16, sizes: [8, 8], kernel: [3, 3], attributes: {} }
  expect([...(await run(layer, undefined)).domains]).toEqual([''])
})

it('a place of the kernel that sees nothing but padding has a gradient of zero', async () => {
  const attributes = { kernel_shape: [3n], dilations: [4n], pads: [4n, 4n] }
  const layer = { batch: 2, channels: 8, filters: 8, group: 1, sizes: [4], kernel: [3], attributes }
  const slopes = (await run(layer, undefined)).out[2] ?? new Float32Array(0)
  expect(slopes).toHaveLength(8 * 8 * 3)
  for (const [at, slope] of slopes.entries()) expect(slope === 0).toBe(at % 3 !== 1)
})
