import type { Tensor } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import type { Value } from '../build/value.js'
import { differentiate } from '../gradient/differentiate.js'
import { evaluate, seeded } from '../gradient/gradient.fixture.js'
import { meanSquaredError, softmaxCrossEntropy } from './loss.js'
import { type OptimizerStep, optimizerStep, stateNames } from './step.js'

/** The textbook step on numbers, in float64: what the graph must come to. */
function referenceStep(
  step: OptimizerStep,
  t: number,
  rate: number,
  w: number,
  g: number,
  state: Record<string, number>,
): number {
  if (step.type === 'sgd') {
    state['velocity'] = step.momentum * (state['velocity'] ?? 0) - rate * g
    return w + state['velocity']
  }
  const m = (state['m'] = step.beta1 * (state['m'] ?? 0) + (1 - step.beta1) * g)
  const v = (state['v'] = step.beta2 * (state['v'] ?? 0) + (1 - step.beta2) * g * g)
  return w - (rate * (m / (1 - step.beta1 ** t))) / (Math.sqrt(v / (1 - step.beta2 ** t)) + step.epsilon)
}

const float = (values: readonly number[]): Tensor => ({
  dtype: 'float32',
  shape: [values.length],
  data: Float32Array.from(values),
})

async function trajectory(step: OptimizerStep, steps: number): Promise<{ graph: number[]; reference: number[] }> {
  const random = seeded(5)
  const count = 6
  const names = stateNames(step)
  let graph = Array.from({ length: count }, () => random() * 2 - 1)
  const reference = [...graph]
  let state: Record<string, number[]> = Object.fromEntries(
    names.map((name) => [name, Array.from({ length: count }, () => 0)]),
  )
  const own = reference.map((): Record<string, number> => ({}))
  for (let t = 1; t <= steps; t++) {
    // Gradients over many orders of magnitude, and exactly 0 now and then.
    const gradients = graph.map((_, at) => (at === 0 && t < 3 ? 0 : Math.fround((random() * 2 - 1) * 10 ** (at - 4))))
    const rate = 0.01 / t
    const g = new GraphBuilder('step')
    const vector = (name: string): Value => g.input(name, 'float32', [count])
    const inputs = {
      name: 'w',
      parameter: vector('w'),
      gradient: vector('gradient'),
      state: Object.fromEntries(names.map((name) => [name, vector(name)])),
    }
    const [next] = optimizerStep(g, step, g.input('rate', 'float32', []), g.input('t', 'int64', []), [inputs])
    g.output('w_next', next!.parameter)
    for (const [name, value] of Object.entries(next!.state)) g.output(`next_${name}`, value)
    const out = await evaluate(g, {
      w: float(graph),
      gradient: float(gradients),
      ...Object.fromEntries(names.map((name) => [name, float(state[name] ?? [])])),
      rate: { dtype: 'float32', shape: [], data: Float32Array.of(rate) },
      t: { dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(t)) },
    })
    graph = out['w_next'] ?? []
    state = Object.fromEntries(names.map((name) => [name, out[`next_${name}`] ?? []]))
    for (const at of reference.keys())
      reference[at] = referenceStep(step, t, Math.fround(rate), reference[at] ?? 0, gradients[at] ?? 0, own[at] ?? {})
  }
  return { graph, reference }
}

describe('optimizerStep', () => {
  const steps: readonly OptimizerStep[] = [
    { type: 'sgd', momentum: 0 },
    { type: 'sgd', momentum: 0.9 },
    { type: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-7 },
    { type: 'adam', beta1: 0, beta2: 0.5, epsilon: 1e-3 },
  ]
  for (const step of steps) {
    it(`of ${JSON.stringify(step)} walks as the textbook step does, to float32's precision`, async () => {
      const { graph, reference } = await trajectory(step, 25)
      for (const [at, value] of reference.entries())
        expect(Math.abs((graph[at] ?? 0) - value), `parameter ${at}`).toBeLessThan(2e-6)
    })
  }
})

describe('softmaxCrossEntropy', () => {
  async function run(
    logits: readonly number[],
    classes: readonly number[],
    dtype: 'int32' | 'int64',
    batch: number | null,
  ): Promise<Record<string, number[]>> {
    const count = logits.length / classes.length
    const g = new GraphBuilder('loss')
    const x = g.input('x', 'float32', [batch, count])
    const loss = softmaxCrossEntropy(g, x, g.input('classes', dtype, [batch]))
    g.output('loss', loss)
    g.output('dx', differentiate(g, loss, [x])[0] as Value)
    const data =
      dtype === 'int32'
        ? { dtype, data: Int32Array.from(classes) }
        : { dtype, data: BigInt64Array.from(classes.map(BigInt)) }
    return evaluate(g, {
      x: { dtype: 'float32', shape: [classes.length, count], data: Float32Array.from(logits) },
      classes: { ...data, shape: [classes.length] } as Tensor,
    })
  }

  it('is -log of the right class, averaged, and its gradient (softmax - one-hot) / rows', async () => {
    const logits = [0.5, -1, 2, 0, 0, 0]
    const softmax = [0, 3].flatMap((at) => {
      const row = logits.slice(at, at + 3).map(Math.exp)
      const sum = row.reduce((a, b) => a + b, 0)
      return row.map((value) => value / sum)
    })
    for (const dtype of ['int32', 'int64'] as const) {
      for (const batch of [2, null]) {
        const out = await run(logits, [2, 1], dtype, batch)
        expect(out['loss']?.[0]).toBeCloseTo(-(Math.log(softmax[2] ?? 0) + Math.log(softmax[4] ?? 0)) / 2, 6)
        for (const [at, value] of softmax.entries())
          expect(out['dx']?.[at]).toBeCloseTo((value - (at === 2 || at === 4 ? 1 : 0)) / 2, 6)
      }
    }
  })

  it('stays finite for logits far apart', async () => {
    const out = await run([1000, -1000, 0, 3e38, 0, 0], [1, 0], 'int32', 2)
    expect(out['loss']?.[0]).toBeCloseTo(1000, 3)
    expect(out['dx']?.every(Number.isFinite)).toBe(true)
  })

  it('refuses other shapes and types', () => {
    const g = new GraphBuilder('refused')
    const x = g.input('x', 'float32', [null, 3])
    expect(() => softmaxCrossEntropy(g, x, g.input('floats', 'float32', [null]))).toThrowError(/float32, not int32/)
    expect(() => softmaxCrossEntropy(g, x, g.input('matrix', 'int32', [null, 1]))).toThrowError(/takes logits/)
  })
})

describe('meanSquaredError', () => {
  it('is the mean over all elements, and its gradient 2 (y - t) / elements, for a free batch too', async () => {
    for (const batch of [2, null]) {
      const g = new GraphBuilder('loss')
      const y = g.input('y', 'float32', [batch, 2])
      const loss = meanSquaredError(g, y, g.input('t', 'float32', [batch, 2]))
      g.output('loss', loss)
      g.output('dy', differentiate(g, loss, [y])[0] as Value)
      const matrix = (values: readonly number[]): Tensor => ({
        dtype: 'float32',
        shape: [2, 2],
        data: Float32Array.from(values),
      })
      const out = await evaluate(g, { y: matrix([1, 2, 3, 4]), t: matrix([0, 2, 5, 1]) })
      expect(out).toEqual({ loss: [3.5], dy: [0.5, 0, -1, 1.5] })
    }
  })
})
