import { describe, expect, it } from 'vitest'
import { evaluate, seeded } from '../gradient/gradient.fixture.js'
import { GraphBuilder } from './graph-builder.js'

const BATCH = 9

/** A depthwise convolution of 3 channels on [height, width], the batch known or free. */
async function run(
  isKnown: boolean,
  [height, width]: readonly [number, number],
  stride: bigint,
): Promise<{ y: number[]; operators: string[] }> {
  const g = new GraphBuilder('depthwise')
  const random = seeded(height * width)
  const numbers = (...shape: number[]) =>
    ({
      dtype: 'float32',
      shape,
      data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random() - 0.5),
    }) as const
  const x = numbers(BATCH, 3, height, width)
  const inputs = [
    g.input('x', 'float32', [isKnown ? BATCH : null, 3, height, width]),
    g.input('w', 'float32', [3, 1, 3, 2]),
    g.input('b', 'float32', [3]),
  ]
  const attributes = {
    group: 3n,
    kernel_shape: [3n, 2n],
    strides: [stride, 1n],
    pads: [1n, 0n, 1n, 1n],
    dilations: [1n, 1n],
  }
  g.output('y', g.op('Conv', inputs, attributes))
  const operators = (g.build().graph?.node ?? []).map(({ opType }) => opType ?? '')
  return { y: (await evaluate(g, { x, w: numbers(3, 1, 3, 2), b: numbers(3) }))['y'] as number[], operators }
}

describe('a depthwise convolution whose batch is known', () => {
  it.each([
    [[5, 4], 1n],
    [[7, 12], 2n],
  ] as const)(
    'slides over whole batches on planes of %j, and gives what the plain one gives',
    async (sizes, stride) => {
      const [known, free] = [await run(true, sizes, stride), await run(false, sizes, stride)]
      expect(known.operators).toContain('Transpose')
      expect(free.operators).toEqual(['Conv', 'Identity'])
      // float32 sums of six products in another order.
      for (const [at, value] of free.y.entries())
        expect(Math.abs((known.y[at] ?? Number.NaN) - value)).toBeLessThan(1e-6)
    },
  )

  it('is left as it is on wider planes', async () => {
    expect((await run(true, [3, 13], 1n)).operators).not.toContain('Transpose')
  })
})
