import '@tensorflow/tfjs-backend-cpu'
import {
  avgPool,
  conv2d,
  conv2dTranspose,
  depthwiseConv2d,
  grads,
  maxPool,
  mul,
  type Tensor4D,
  tensor4d,
  transpose,
} from '@tensorflow/tfjs-core'
// Registers the gradients: tfjs-core's own registration is not in its bundle for Node.
import '@tensorflow/tfjs-layers'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { floats, int64s, type Value } from '../build/value.js'
import type { Attributes } from '../format/node.js'
import { differentiate } from './differentiate.js'
import { evaluate, seeded } from './gradient.fixture.js'

/** The same shapes and numbers in every run of the tests. */
const SETTINGS = { seed: 20240229, numRuns: 25 }

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1)
const numbers = (random: () => number, shape: readonly number[]): number[] =>
  Array.from({ length: product(shape) }, () => random() * 2 - 1)
const bigints = (values: readonly number[]): bigint[] => values.map(BigInt)
const tensor = (values: readonly number[], shape: readonly number[]) => floats('float32', values, shape)

/** The outputs' shape, y, and the gradients of Σ y · dy by the inputs. */
async function gradients(
  build: (g: GraphBuilder, inputs: readonly Value[]) => Value,
  inputs: readonly { shape: readonly number[]; values: readonly number[] }[],
  dy: (shape: readonly number[]) => readonly number[],
  freeBatch = false,
): Promise<{ shape: number[]; weights: readonly number[]; out: Record<string, number[]> }> {
  const known = new GraphBuilder('shape')
  const declare = (g: GraphBuilder, free: boolean): Value[] =>
    inputs.map(({ shape }, at) =>
      g.input(
        `x${at}`,
        'float32',
        shape.map((size, axis) => (free && at + axis === 0 ? null : size)),
      ),
    )
  const shape = build(known, declare(known, false)).shape.map(Number)
  const weights = dy(shape)
  const g = new GraphBuilder('gradients')
  const values = declare(g, freeBatch)
  const y = build(g, values)
  const slope = g.input('dy', 'float32', y.shape)
  const loss = g.op('ReduceSum', [g.op('Mul', [y, slope])], { keepdims: 0n })
  g.output('y', y)
  for (const [at, value] of differentiate(g, loss, values).entries()) g.output(`d${at}`, value)
  const feeds = Object.fromEntries(inputs.map((input, at) => [`x${at}`, tensor(input.values, input.shape)]))
  return { shape, weights, out: await evaluate(g, { ...feeds, dy: tensor(weights, shape) }) }
}

const dot = (a: readonly number[] = [], b: readonly number[] = []): number =>
  a.reduce((sum, value, at) => sum + value * (b[at] ?? Number.NaN), 0)

/** Float32's rounding of each term of a sum, taken at its worst over a few hundred of them. */
const close = (actual: number, expected: number, size: number): void =>
  expect(Math.abs(actual - expected)).toBeLessThan(3e-6 * (1 + size))

const along = (rank: number, min: number, max: number) =>
  fc.array(fc.integer({ min, max }), { minLength: rank, maxLength: rank })

const layers = fc.integer({ min: 1, max: 3 }).chain((rank) =>
  fc.record({
    transposed: fc.boolean(),
    batch: fc.integer({ min: 1, max: 3 }),
    group: fc.integer({ min: 1, max: 3 }),
    each: fc.integer({ min: 1, max: 3 }),
    filters: fc.integer({ min: 1, max: 2 }),
    sizes: along(rank, 5, rank === 3 ? 5 : 14),
    kernel: along(rank, 1, 3),
    strides: fc.oneof(fc.constant(Array<number>(rank).fill(1)), along(rank, 1, 3)),
    dilations: along(rank, 1, 2),
    pads: along(2 * rank, 0, 2),
    auto: fc.constantFrom('NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'),
    seed: fc.nat(),
  }),
)

describe('a convolution is linear in its image and in its weights, so', () => {
  it('the engine’s own result is the product of either by its gradient, whatever the attributes', async () => {
    await fc.assert(
      fc.asyncProperty(layers, fc.boolean(), async (layer, free) => {
        const { group, each, filters, sizes, kernel, transposed } = layer
        const shape = [layer.batch, group * each, ...sizes]
        const weights = transposed ? [group * each, filters, ...kernel] : [group * filters, each, ...kernel]
        const fits = !transposed && layer.auto !== 'NOTSET'
        const attributes: Attributes = {
          strides: bigints(layer.strides),
          // The engine has no dilation beside SAME.
          dilations: bigints(fits && layer.auto !== 'VALID' ? layer.dilations.map(() => 1) : layer.dilations),
          group: BigInt(group),
          ...(fits ? { auto_pad: layer.auto } : { pads: bigints(transposed ? layer.pads.map(() => 0) : layer.pads) }),
        }
        const random = seeded(layer.seed)
        const inputs = [shape, weights].map((of) => ({ shape: of, values: numbers(random, of) }))
        const { weights: dy, out } = await gradients(
          (g, values) => g.op(transposed ? 'ConvTranspose' : 'Conv', values, attributes),
          inputs,
          (of) => numbers(random, of),
          free,
        )
        const [size, total] = [
          dy.reduce((sum, value, at) => sum + Math.abs(value * (out['y']?.[at] ?? 0)), 0),
          dot(dy, out['y']),
        ]
        close(dot(inputs[0]?.values, out['d0']), total, size)
        close(dot(inputs[1]?.values, out['d1']), total, size)
      }),
      SETTINGS,
    )
  })
})

describe('Resize and pools of averages are linear, so', () => {
  const resizes = fc.record({
    sizes: along(2, 1, 6),
    to: along(2, 1, 9),
    byScales: fc.boolean(),
    mode: fc.constantFrom('nearest', 'linear'),
    place: fc.constantFrom('half_pixel', 'pytorch_half_pixel', 'asymmetric', 'align_corners'),
    nearest: fc.constantFrom('round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'),
    seed: fc.nat(),
  })

  it('the engine’s own Resize is the product of its input by its gradient, for each pixel alone', async () => {
    await fc.assert(
      fc.asyncProperty(resizes, async ({ sizes, to, byScales, mode, place, nearest, seed }) => {
        const random = seeded(seed)
        const shape = [2, 2, ...sizes]
        const scales = [
          1,
          1,
          ...to.map((size, axis) => (byScales ? 2 ** ((size % 3) - (Number(sizes[axis]) > 1 ? 1 : 0)) : 1)),
        ]
        const { weights: dy, out } = await gradients(
          (g, [x]) =>
            g.op(
              'Resize',
              byScales
                ? [x, undefined, g.constant(tensor(scales, [4]))]
                : [x, undefined, undefined, g.constant(int64s([2, 2, ...to]))],
              { mode, coordinate_transformation_mode: place, nearest_mode: nearest },
            ),
          [{ shape, values: numbers(random, shape) }],
          (of) => numbers(random, of),
        )
        const values = numbers(seeded(seed), shape)
        close(dot(values, out['d0']), dot(dy, out['y']), dy.length)
      }),
      SETTINGS,
    )
  })

  const pools = fc.record({
    sizes: along(2, 4, 9),
    kernel: along(2, 1, 3),
    strides: along(2, 1, 3),
    include: fc.constantFrom(0n, 1n),
    pad: fc.boolean(),
    seed: fc.nat(),
  })

  it('the engine’s own AveragePool is the product of its input by its gradient', async () => {
    await fc.assert(
      fc.asyncProperty(pools, fc.boolean(), async ({ sizes, kernel, strides, include, pad, seed }, free) => {
        const random = seeded(seed)
        const shape = [2, 3, ...sizes]
        const values = numbers(random, shape)
        const pads = [0, 1].flatMap((side) => kernel.map((size) => (pad ? Math.min(size - 1, 1 + side) : 0)))
        const { weights: dy, out } = await gradients(
          (g, [x]) =>
            g.op('AveragePool', [x], {
              kernel_shape: bigints(kernel),
              strides: bigints(strides),
              pads: bigints(pads),
              count_include_pad: include,
            }),
          [{ shape, values }],
          (of) => numbers(random, of),
          free,
        )
        close(dot(values, out['d0']), dot(dy, out['y']), dy.length)
      }),
      SETTINGS,
    )
  })
})

describe('MaxPool', () => {
  it('gives the gradient to the first of the largest, as PyTorch and the engine’s Indices do', async () => {
    const values = [1, 1, 0, 2, 1, 1, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0]
    const { out } = await gradients(
      (g, [x]) => g.op('MaxPool', [x], { kernel_shape: [2n, 2n], strides: [2n, 2n] }),
      [{ shape: [1, 1, 4, 4], values }],
      () => [1, 2, 3, 4],
    )
    expect(out['d0']).toEqual([1, 0, 0, 2, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0])
  })
})

describe('an empty batch', () => {
  const square: Attributes = { kernel_shape: [2n, 2n], strides: [2n, 2n] }
  const layer: Record<string, (g: GraphBuilder, x: Value, w: Value) => Value> = {
    Conv: (g, x, w) => g.op('Conv', [x, w]),
    'depthwise Conv': (g, x, w) =>
      g.op('Conv', [x, g.op('Reshape', [w, g.constant(int64s([2, 1, 2, 4]))])], { group: 2n }),
    MaxPool: (g, x, w) => g.op('Mul', [g.op('MaxPool', [x], square), g.op('ReduceSum', [w])]),
    AveragePool: (g, x, w) => g.op('Mul', [g.op('AveragePool', [x], square), g.op('ReduceSum', [w])]),
  }
  for (const [name, build] of Object.entries(layer)) {
    it(`gives gradients of 0 by the weights around ${name}`, async () => {
      const { out } = await gradients(
        (g, [x, w]) => build(g, x as Value, w as Value),
        [
          { shape: [0, 2, 4, 4], values: [] },
          { shape: [2, 2, 2, 2], values: Array<number>(16).fill(1) },
        ],
        () => [],
        true,
      )
      expect(out['d0']).toEqual([])
      expect(out['d1']).toEqual(Array(16).fill(0))
    })
  }
})

describe('gradients equal those of tfjs', () => {
  const [image, random] = [[2, 4, 7, 6], seeded(5)] as const
  const x = numbers(random, image)
  const at = (values: readonly number[], shape: readonly number[], order: readonly number[]) =>
    transpose(tensor4d([...values], shape as [number, number, number, number]), [...order])
  /** Channels last, as tfjs has them; kernels [h, w, in, out]. */
  const LAST = [0, 2, 3, 1]
  const FIRST = [0, 3, 1, 2]
  const SAME: Attributes = { strides: [2n, 2n], auto_pad: 'SAME_UPPER' }

  const cases: [
    string,
    number[],
    (g: GraphBuilder, v: readonly Value[]) => Value,
    number[],
    (x: Tensor4D, w: Tensor4D) => Tensor4D,
  ][] = [
    ['conv2d', [5, 4, 3, 2], (g, v) => g.op('Conv', v, SAME), [2, 3, 1, 0], (a, w) => conv2d(a, w, 2, 'same')],
    [
      'depthwiseConv2d',
      [4, 1, 3, 3],
      (g, v) => g.op('Conv', v, { ...SAME, strides: [1n, 1n], group: 4n }),
      [2, 3, 0, 1],
      (a, w) => depthwiseConv2d(a, w, 1, 'same'),
    ],
    [
      'conv2dTranspose',
      [4, 3, 2, 2],
      (g, v) => g.op('ConvTranspose', v, { strides: [2n, 2n] }),
      [2, 3, 1, 0],
      (a, w) => conv2dTranspose(a, w, [2, 14, 12, 3], 2, 'valid'),
    ],
    [
      'maxPool',
      [1, 1, 1, 1],
      (g, v) => g.op('Mul', [g.op('MaxPool', [v[0]], { ...SAME, kernel_shape: [3n, 3n] }), v[1]]),
      [0, 1, 2, 3],
      (a, w) => mul(maxPool(a, 3, 2, 'same'), w),
    ],
    // tfjs divides its gradient by the whole window beside padding too, where its own forward pass does not.
    [
      'avgPool',
      [1, 1, 1, 1],
      (g, v) => g.op('Mul', [g.op('AveragePool', [v[0]], { kernel_shape: [3n, 3n], strides: [2n, 2n] }), v[1]]),
      [0, 1, 2, 3],
      (a, w) => mul(avgPool(a, 3, 2, 'valid'), w),
    ],
  ]
  for (const [name, kernel, build, order, other] of cases) {
    it(`of ${name}`, async () => {
      const w = numbers(random, kernel)
      const inputs = [
        { shape: image, values: x },
        { shape: kernel, values: w },
      ]
      const { shape, weights: dy, out } = await gradients(build, inputs, (of) => numbers(random, of))
      const [dx, dw] = grads((a, b) => other(a as Tensor4D, b as Tensor4D))(
        [at(x, image, LAST), at(w, kernel, order)],
        at(dy, shape, LAST),
      )
      const back = order.map((_, axis) => order.indexOf(axis))
      for (const [mine, theirs] of [
        [out['d0'], dx && transpose(dx, FIRST)],
        [out['d1'], dw && transpose(dw, back)],
      ] as const) {
        const expected = await theirs?.data()
        expect(mine).toHaveLength(expected?.length ?? -1)
        for (const [i, value] of (mine ?? []).entries()) expect(value).toBeCloseTo(Number(expected?.[i]), 4)
      }
    })
  }
})
