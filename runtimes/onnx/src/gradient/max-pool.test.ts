import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { differentiate } from './differentiate.js'
import { evaluate } from './gradient.fixture.js'

interface Pool {
  readonly shape: readonly [batch: number, channels: number, height: number, width: number]
  readonly kernel: readonly [number, number]
  readonly gap: readonly [number, number]
  readonly values: readonly number[]
  readonly outputs: 1 | 2
}

const pool = fc
  .record({
    shape: fc.tuple(
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 3, max: 7 }),
      fc.integer({ min: 3, max: 7 }),
    ),
    kernel: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
    gap: fc.tuple(fc.integer({ min: -1, max: 1 }), fc.integer({ min: -1, max: 1 })),
    // Few values, so that many are equal.
    values: fc.array(fc.integer({ min: -1, max: 2 }), { minLength: 9 * 49, maxLength: 9 * 49 }),
    outputs: fc.constantFrom(1 as const, 2 as const),
  })
  .filter(({ kernel, gap }) => kernel.every((size, axis) => size + (gap[axis] ?? 0) >= 1))

/** The gradient of Σ w y by x, w being 1, 2, 3, ... */
async function gradient(
  { shape, kernel, gap, values, outputs }: Pool,
  dtype: 'float32' | 'float64',
): Promise<number[]> {
  const g = new GraphBuilder('pool')
  const x = g.input('x', dtype, shape)
  const strides = kernel.map((size, axis) => BigInt(size + (gap[axis] ?? 0)))
  const [y] = g.ops('MaxPool', [x], { kernel_shape: kernel.map(BigInt), strides }, { outputs })
  const numbers = (from: ArrayLike<number>) =>
    dtype === 'float32'
      ? ({ dtype, data: Float32Array.from(from) } as const)
      : ({ dtype, data: Float64Array.from(from) } as const)
  const count = y!.shape.map(Number).reduce((product, size) => product * size, 1)
  const weights = g.input('w', dtype, y!.shape)
  const [dx] = differentiate(g, g.op('ReduceSum', [g.op('Mul', [y!, weights])], { keepdims: 0n }), [x])
  g.output('dx', dx!)
  const size = shape.reduce((product, length) => product * length, 1)
  const out = await evaluate(g, {
    x: { shape, ...numbers(values.slice(0, size)) },
    w: { shape: y!.shape.map(Number), ...numbers(Array.from({ length: count }, (_, at) => at + 1)) },
  })
  return out['dx'] as number[]
}

describe('the gradient of MaxPool', () => {
  it('is the same by indices (float32) and by masks (float64), with ties, gaps and overlaps', async () => {
    await fc.assert(
      fc.asyncProperty(pool, async (item) => {
        // Sums of small whole numbers are exact.
        expect(await gradient(item, 'float32')).toEqual(await gradient(item, 'float64'))
      }),
      { seed: 3, numRuns: 40 },
    )
  })

  it('goes by indices where windows lie apart, and by masks where they overlap', () => {
    const operators = (stride: bigint) => {
      const g = new GraphBuilder('pool')
      const x = g.input('x', 'float32', ['batch', 2, 6, 6])
      const y = g.op('MaxPool', [x], { kernel_shape: [2n, 2n], strides: [stride, stride] })
      differentiate(g, g.op('ReduceSum', [y], { keepdims: 0n }), [x])
      return new Set(g.nodes.map((node) => node.opType))
    }
    expect(operators(2n)).toContain('MaxUnpool')
    expect(operators(1n)).not.toContain('MaxUnpool')
  })
})
