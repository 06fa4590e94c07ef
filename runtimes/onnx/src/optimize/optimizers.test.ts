import '@tensorflow/tfjs-backend-cpu'
import * as tf from '@tensorflow/tfjs-core'
import { resolveOptimizer } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { evaluate, seeded } from '../gradient/gradient.fixture.js'
import { accumulateGradients } from './accumulate.js'
import { averageScale } from './average.js'
import { type OptimizerStep, optimizerStep, stateNames } from './step.js'
import { apart, STEPS, start, type WalkOptions, walkGraph, walkReference, wide } from './walk.fixture.js'

const adam = { type: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-7 } as const
const rmsprop = { type: 'rmsprop', rho: 0.9, momentum: 0, epsilon: 1e-7, centered: false } as const
const lion = { type: 'lion', beta1: 0.9, beta2: 0.99 } as const

const steps: readonly OptimizerStep[] = [
  { type: 'sgd', momentum: 0 },
  { type: 'sgd', momentum: 0.9 },
  { type: 'sgd', momentum: 0.9, nesterov: true },
  { type: 'sgd', momentum: 0, nesterov: true },
  { type: 'sgd', momentum: 0.9, nesterov: true, weightDecay: 0.5 },
  adam,
  { type: 'adam', beta1: 0, beta2: 0.5, epsilon: 1e-3 },
  { ...adam, type: 'adamw', weightDecay: 0.004 },
  { ...adam, type: 'adamw', weightDecay: 2 },
  rmsprop,
  { ...rmsprop, momentum: 0.9, weightDecay: 1 },
  { ...rmsprop, rho: 0.5, centered: true, epsilon: 1e-3 },
  { ...rmsprop, centered: true, momentum: 0.5 },
  lion,
  { ...lion, beta1: 0.5, weightDecay: 3 },
]

/**
 * Weights of about 1 lose up to 6e-8 in each of 50 additions, and moves of about 0.01 some 1e-6 of themselves: a random
 * walk of some 5e-7, and never above 3e-6.
 */
const TOLERANCE = 3e-6

const difference = async (options: WalkOptions): Promise<number> =>
  apart((await walkGraph(options)).weights, walkReference(options).weights)

describe('optimizerStep', () => {
  for (const step of steps) {
    it(`of ${JSON.stringify(step)} walks as the published algorithm does, to float32's precision`, async () => {
      expect(apart(walkReference({ step }).weights, start())).toBeGreaterThan(1e-3)
      expect(await difference({ step })).toBeLessThan(TOLERANCE)
    })
  }

  it('takes every optimizer of the config as it is resolved', async () => {
    for (const type of ['sgd', 'adam', 'adamw', 'rmsprop', 'lion'] as const) {
      const { step, clipping } = resolveOptimizer({ type, learningRate: 1, clipNorm: 0.5, ema: {} })
      expect(await difference({ step, ...(clipping === undefined ? {} : { clipping }) })).toBeLessThan(TOLERANCE)
    }
  })

  it('of centred RMSprop stays finite when gradients are always the same, where their variance is 0', async () => {
    const step = { ...rmsprop, centered: true, epsilon: 1e-12 }
    const { weights } = await walkGraph({ step, gradients: () => wide(9, seeded(3)), rate: () => 1e-9 })
    expect(weights.every(Number.isFinite)).toBe(true)
  })

  it('lets a gradient that is not a number be seen in the weights', async () => {
    const gradients = (): number[] => start().map((_, at) => (at === 3 ? Number.NaN : 1))
    for (const step of [...steps, { type: 'sgd', momentum: 0 } as const])
      for (const by of ['norm', 'globalNorm', 'value', undefined] as const) {
        const { weights } = await walkGraph({
          step,
          gradients,
          ...(by === undefined ? {} : { clipping: { by, limit: 1 } }),
        })
        expect(weights[3]).toBeNaN()
      }
  })

  it('decays what is said to decay, and nothing else', async () => {
    const step = { type: 'sgd', momentum: 0, weightDecay: 1 } as const
    const { weights } = await walkGraph({ step, gradients: () => start().map(() => 0), rate: () => 0.5 })
    for (const [at, value] of start().entries())
      expect(weights[at]).toBe(Math.fround(value * (at < 6 ? 0.5 ** STEPS : 1)))
  })

  for (const step of [steps[1], steps[2], { ...adam, epsilon: 1e-2 }, { ...rmsprop, epsilon: 1e-2 }, steps[11], lion]) {
    it(`of ${step?.type} takes the sum of several batches' gradients as their mean`, async () => {
      expect(await difference({ step: step as OptimizerStep, summed: 3 })).toBeLessThan(TOLERANCE)
    })
  }

  for (const step of [{ type: 'sgd', momentum: 0.9 } as const, adam, { ...rmsprop, centered: true }, lion]) {
    for (const by of ['norm', 'globalNorm', 'value'] as const) {
      it(`of ${step.type} with gradients clipped by ${by} walks as with those that were clipped before`, async () => {
        const clipping = { by, limit: by === 'value' ? 0.5 : 1 }
        const open = walkReference({ step }).weights
        for (const summed of [1, 4]) {
          const options = { step, clipping, summed }
          expect(apart(walkReference(options).weights, open)).toBeGreaterThan(1e-4)
          expect(await difference(options)).toBeLessThan(TOLERANCE)
        }
      })
    }
  }

  it('leaves gradients alone that are short enough, and those that are 0', async () => {
    const step = { type: 'sgd', momentum: 0 } as const
    const gradients = (t: number): number[] => start().map((_, at) => (t % 2) * 2 ** -at)
    const open = (await walkGraph({ step, gradients })).weights
    for (const by of ['norm', 'globalNorm', 'value'] as const)
      expect((await walkGraph({ step, gradients, clipping: { by, limit: 2 } })).weights).toEqual(open)
  })

  it('keeps an average of the weights, in which each step counts momentum times as much as the next', async () => {
    for (const averageMomentum of [0.99, 0.5]) {
      for (const own of [adam, lion]) {
        const step: OptimizerStep = { ...own, averageMomentum }
        const [graph, reference] = [await walkGraph({ step }), walkReference({ step })]
        expect(apart(graph.weights, reference.weights)).toBeLessThan(TOLERANCE)
        expect(apart(graph.average, reference.average)).toBeLessThan(TOLERANCE)
        expect(apart(graph.average, graph.weights)).toBeGreaterThan(1e-5)
      }
    }
    expect(stateNames({ ...adam, averageMomentum: 0.9 })).toEqual(['moment', 'square', 'average'])
    expect(averageScale(0.9, 1)).toBeCloseTo(1, 15)
  })
})

/** Steps of a tfjs optimizer on one variable of all weights, in float32. */
function walkTfjs(optimizer: tf.Optimizer): number[] {
  const random = seeded(9)
  return tf.tidy(() => {
    const w = tf.variable(tf.tensor1d(start()), true, 'w')
    for (let t = 1; t <= STEPS; t++) optimizer.applyGradients({ w: tf.tensor1d(wide(t, random)) })
    const values = Array.from(w.dataSync())
    w.dispose()
    return values
  })
}

describe('optimizerStep, beside tfjs', () => {
  const rate = 0.01
  const pairs: readonly (readonly [name: string, step: OptimizerStep, make: () => tf.Optimizer])[] = [
    ['sgd', { type: 'sgd', momentum: 0 }, () => tf.train.sgd(rate)],
    ['momentum', { type: 'sgd', momentum: 0.9 }, () => tf.train.momentum(rate, 0.9)],
    ['nesterov', { type: 'sgd', momentum: 0.9, nesterov: true }, () => tf.train.momentum(rate, 0.9, true)],
    ['adam', adam, () => tf.train.adam(rate, 0.9, 0.999, 1e-7)],
    ['rmsprop', rmsprop, () => tf.train.rmsprop(rate, 0.9, 0, 1e-7)],
    ['rmsprop with momentum', { ...rmsprop, momentum: 0.9 }, () => tf.train.rmsprop(rate, 0.9, 0.9, 1e-7)],
  ]
  for (const [name, step, make] of pairs) {
    it(`${name} walks as its does`, async () => {
      const { weights } = await walkGraph({ step, rate: () => Math.fround(rate) })
      // tfjs is float32 too, and 1 - β₂ᵗ in float32 is wrong by 3e-5 at first: 1e-5 after 50 steps of 0.01.
      expect(apart(weights, walkTfjs(make()))).toBeLessThan(1e-5)
    })
  }
})

describe('accumulateGradients', () => {
  it('gives the first gradients on, and adds the next', async () => {
    const vector = (...values: number[]) => ({ dtype: 'float32', shape: [2], data: Float32Array.from(values) }) as const
    const first = new GraphBuilder('first')
    const [given] = accumulateGradients(first, ['w'], [first.input('g', 'float32', [2])])
    first.output('w_accumulated_next', given!)
    const { w_accumulated_next: one } = await evaluate(first, { g: vector(1, 2) })
    const next = new GraphBuilder('next')
    const [sum] = accumulateGradients(
      next,
      ['w'],
      [next.input('g', 'float32', [2])],
      [next.input('w_accumulated', 'float32', [2])],
    )
    next.output('w_accumulated_next', sum!)
    const two = await evaluate(next, { g: vector(10, 20), w_accumulated: vector(...(one ?? [])) })
    expect(two).toEqual({ w_accumulated_next: [11, 22] })
  })
})

describe('the passes of a step over a tensor', () => {
  /** Operators that take or give something of the parameter's shape. */
  function passes(step: OptimizerStep): number {
    const g = new GraphBuilder('step')
    const tensor = (name: string) => g.input(name, 'float32', [8, 8])
    const state = Object.fromEntries(stateNames(step).map((name) => [name, tensor(name)]))
    const inputs = { name: 'w', parameter: tensor('w'), gradient: tensor('g'), state, decays: true }
    optimizerStep(g, step, g.input('rate', 'float32', []), g.input('t', 'int64', []), [inputs])
    return g.nodes.filter(({ outputs }) => outputs[0]?.shape.length === 2).length
  }

  it('are as few as they are known to be: one more is 20 µs for 100,000 numbers', () => {
    expect(passes({ type: 'sgd', momentum: 0 })).toBe(2)
    expect(passes({ type: 'sgd', momentum: 0.9 })).toBe(4)
    expect(passes({ type: 'sgd', momentum: 0.9, nesterov: true })).toBe(5)
    expect(passes(adam)).toBe(10)
    expect(passes({ ...adam, type: 'adamw', weightDecay: 0.004 })).toBe(11)
    expect(passes(rmsprop)).toBe(8)
    expect(passes({ ...rmsprop, centered: true })).toBe(11)
    expect(passes(lion)).toBe(7)
    expect(passes({ type: 'sgd', momentum: 0, averageMomentum: 0.99 })).toBe(4)
  })
})
