import type { Tensor } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { differentiate } from '../gradient/differentiate.js'
import { evaluate } from '../gradient/gradient.fixture.js'
import { GraphBuilder } from './graph-builder.js'
import { floats } from './value.js'

interface Case {
  readonly operator: string
  readonly inputs: Readonly<Record<string, Tensor>>
  readonly build: (g: GraphBuilder) => void
}

const input = (g: GraphBuilder, shape: readonly number[], dtype: 'float32' | 'int32' = 'float32') =>
  g.input('x', dtype, shape)
const tied = floats('float32', [1, 1, 0, 2, -1, 2, 2, 3, 0, 0, 0, 0, 5, 4, 3, 2], [1, 1, 4, 4])

const cases: readonly Case[] = [
  {
    operator: 'LogSoftmax',
    // Without taking the largest off first, the exponentials of the second row would be infinite.
    inputs: { x: floats('float32', [0.5, -1, 2, 1000, 999, -1000], [2, 3]) },
    build: (g) => g.output('y', g.op('LogSoftmax', [input(g, [2, 3])], { axis: 1n })),
  },
  {
    operator: 'LogSoftmax',
    inputs: { x: floats('float32', [0.5, -1, 2, 3, 1, 2], [2, 3]) },
    build: (g) => {
      const scores = input(g, [2, 3])
      const labels = g.initializer('labels', { dtype: 'int32', shape: [2], data: Int32Array.of(2, 0) })
      const loss = g.op('SoftmaxCrossEntropyLoss', [scores, labels])
      g.output('y', differentiate(g, loss, [scores])[0]!)
    },
  },
  {
    operator: 'Sign',
    inputs: { x: floats('float32', [-2, -0, 0, 1e-30, Number.POSITIVE_INFINITY], [5]) },
    build: (g) => g.output('y', g.op('Sign', [input(g, [5])])),
  },
  {
    operator: 'OneHot',
    inputs: { x: { dtype: 'int32', shape: [2, 2], data: Int32Array.of(2, 0, 1, 3) } },
    build: (g) => {
      const depth = g.initializer('depth', { dtype: 'int32', shape: [1], data: Int32Array.of(3) })
      const values = g.initializer('values', floats('float32', [-0.5, 4], [2]))
      g.output('y', g.op('OneHot', [input(g, [2, 2], 'int32'), depth, values]))
    },
  },
  {
    operator: 'MaxUnpool',
    inputs: { x: tied },
    build: (g) => {
      const x = input(g, [1, 1, 4, 4])
      const pooled = g.op('MaxPool', [x], { kernel_shape: [2n, 2n], strides: [2n, 2n] })
      const loss = g.op('ReduceSum', [g.op('Mul', [pooled, pooled])], { keepdims: 0n })
      g.output('y', differentiate(g, loss, [x])[0]!)
    },
  },
]

describe('an operator that the engine has no kernel for', () => {
  it.each(cases)('is not written, and what is gives the same: $operator', async ({ operator, inputs, build }) => {
    const answers: (readonly number[])[] = []
    for (const without of [[], [operator]]) {
      const g = new GraphBuilder('case', { without: new Set(without) })
      build(g)
      const operators = (g.build().graph?.node ?? []).map(({ opType }) => opType)
      expect(operators.includes(operator)).toBe(without.length === 0)
      answers.push((await evaluate(g, inputs))['y'] as number[])
    }
    // One rounding more than the engine's own kernel has.
    for (const [at, value] of answers[0]!.entries()) expect(Math.abs(answers[1]![at]! - value)).toBeLessThan(1e-6)
    expect(answers[1]).toHaveLength(answers[0]!.length)
  })
})
