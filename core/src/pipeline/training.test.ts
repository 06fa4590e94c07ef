import { describe, expect, it } from 'vitest'
import { issuesOf } from '../wire/parse.js'
import { earlyStoppingSchema, lossNames, lossSchema, optimizerSchema, scheduleSchema } from './training.js'
import {
  lossDefaults,
  optimizerDefaults,
  resolveEarlyStopping,
  resolveLoss,
  resolveOptimizer,
  resolveSchedule,
  scheduleDefaults,
} from './training-defaults.js'

/** The fields that a config is refused for. */
function refused(schema: typeof optimizerSchema | typeof lossSchema | typeof scheduleSchema, value: unknown): string {
  const result = schema.safeParse(value)
  return result.success ? 'accepted' : issuesOf(result.error).join('; ')
}

describe('optimizerSchema', () => {
  it('takes what jobs held before there were schedules', () => {
    for (const config of [
      { type: 'sgd', learningRate: 0.1, momentum: 0.9 },
      { type: 'adam', learningRate: 0.001, beta1: 0.9, beta2: 0.99, epsilon: 1e-8 },
    ])
      expect(optimizerSchema.parse(config)).toEqual(config)
  })

  it('names every field that is wrong', () => {
    expect(refused(optimizerSchema, { type: 'lion', learningRate: -1, beta1: 1, rho: 0.5 })).toMatch(
      /learningRate.*beta1.*rho/,
    )
    expect(refused(optimizerSchema, { type: 'adagrad', learningRate: 1 })).toMatch(/type/)
    expect(refused(optimizerSchema, { type: 'sgd', learningRate: 1, accumulate: 0.5, ema: { momentum: 1 } })).toMatch(
      /accumulate.*ema\.momentum/,
    )
  })

  it('takes one kind of clipping, and says which is one too many', () => {
    const adam = { type: 'adam', learningRate: 0.001 }
    for (const kind of ['clipNorm', 'globalClipNorm', 'clipValue'])
      expect(refused(optimizerSchema, { ...adam, [kind]: 1 })).toBe('accepted')
    expect(refused(optimizerSchema, { ...adam, clipNorm: 1, clipValue: 1 })).toMatch(/clipValue: .*clipNorm/)
  })

  it('takes a schedule as learning rate', () => {
    const learningRate = { type: 'cosine', maximum: 0.1, warmupSteps: 10 }
    expect(refused(optimizerSchema, { type: 'sgd', learningRate })).toBe('accepted')
    expect(refused(scheduleSchema, { ...learningRate, warmupShare: 0.1 })).toMatch(/warmupShare: .*warmupSteps/)
    expect(refused(optimizerSchema, { type: 'sgd', learningRate: { type: 'cosine' } })).not.toBe('accepted')
  })
})

describe('resolveOptimizer', () => {
  it('leaves nothing to guess', () => {
    for (const type of ['sgd', 'adam', 'adamw', 'rmsprop', 'lion'] as const) {
      const { step, schedule, clipping, accumulate } = resolveOptimizer({ type, learningRate: 0.01 })
      expect(step).toEqual({ type, ...optimizerDefaults[type] })
      expect(schedule).toEqual({ type: 'constant', initial: 0.01 })
      expect([clipping, accumulate]).toEqual([undefined, 1])
    }
  })

  it('keeps what is given, and takes a field that is undefined for one that is not there', () => {
    const resolved = resolveOptimizer({
      type: 'adamw',
      learningRate: { type: 'step', initial: 1, every: 2 },
      beta1: 0.5,
      beta2: undefined,
      globalClipNorm: 2,
      accumulate: 4,
      ema: {},
    })
    expect(resolved.step).toEqual({
      type: 'adamw',
      beta1: 0.5,
      beta2: 0.999,
      epsilon: 1e-7,
      weightDecay: 0.004,
      averageMomentum: 0.99,
    })
    expect(resolved.schedule).toEqual({ type: 'step', initial: 1, every: 2, factor: scheduleDefaults.step.factor })
    expect(resolved.clipping).toEqual({ by: 'globalNorm', limit: 2 })
    expect(resolved.accumulate).toBe(4)
  })
})

describe('lossSchema', () => {
  it('takes every loss by name and as an object, and resolves both alike', () => {
    for (const name of lossNames) {
      expect(refused(lossSchema, name)).toBe('accepted')
      expect(refused(lossSchema, { type: name })).toBe('accepted')
      expect(resolveLoss(name)).toEqual({ type: name, ...lossDefaults[name] })
      expect(resolveLoss({ type: name })).toEqual(resolveLoss(name))
    }
  })

  it('refuses arguments of another loss and values out of range', () => {
    expect(refused(lossSchema, { type: 'huber', margin: 1 })).not.toBe('accepted')
    expect(refused(lossSchema, { type: 'softmaxCrossEntropy', labelSmoothing: 2 })).not.toBe('accepted')
    expect(refused(lossSchema, { type: 'softmaxCrossEntropy', classWeights: [1, -1] })).not.toBe('accepted')
  })
})

it('resolves a schedule and early stopping over their defaults', () => {
  expect(resolveSchedule({ type: 'reduceOnPlateau', initial: 1, patience: 2 })).toEqual({
    type: 'reduceOnPlateau',
    initial: 1,
    ...scheduleDefaults.reduceOnPlateau,
    patience: 2,
  })
  expect(resolveEarlyStopping(earlyStoppingSchema.parse({ patience: 3 }))).toEqual({
    metric: 'valLoss',
    patience: 3,
    minDelta: 0,
    restoreBest: true,
  })
})
