import { describe, expect, it } from 'vitest'
import { earlyStopping } from './early-stopping.js'
import { learningRateOf, type ScheduleAt } from './schedule.js'

const at = (step: number, steps: number, more: Partial<ScheduleAt> = {}): ScheduleAt => ({
  step,
  steps,
  epoch: 0,
  epochs: 1,
  metricHistory: [],
  ...more,
})
const losses = (...values: number[]) => values.map((valLoss) => ({ valLoss }))

/** The rates of every step of a run. */
const all = (config: Parameters<typeof learningRateOf>[0], steps: number): number[] =>
  Array.from({ length: steps }, (_, step) => learningRateOf(config)(at(step + 1, steps)))

describe('learningRateOf', () => {
  it('gives a number and a constant for every step', () => {
    expect(all(0.25, 3)).toEqual([0.25, 0.25, 0.25])
    expect(all({ type: 'constant', initial: 0.5 }, 2)).toEqual([0.5, 0.5])
  })

  it("multiplies every so many epochs: the values of PyTorch's documentation of StepLR", () => {
    const rate = learningRateOf({ type: 'step', initial: 0.05, every: 30, factor: 0.1 })
    const of = (epoch: number): number => rate(at(1, 1, { epoch }))
    expect([of(0), of(29)]).toEqual([0.05, 0.05])
    expect([of(30), of(59)].map((value) => value.toPrecision(6))).toEqual(['0.00500000', '0.00500000'])
    expect(of(60)).toBeCloseTo(0.0005, 12)
  })

  it("follows the formula of Keras's CosineDecay, warm-up and all", () => {
    // 1000 steps of warm-up to 0.1 and 1000 of decay: the setting of Keras's documentation.
    const rates = all({ type: 'cosine', maximum: 0.1, warmupSteps: 1000 }, 2000)
    expect(rates[0]).toBe(0)
    expect(rates[500]).toBeCloseTo(0.05, 12)
    expect(rates[1000]).toBe(0.1)
    expect(rates[1250]).toBeCloseTo(0.1 * 0.5 * (1 + Math.SQRT1_2), 12)
    expect(rates[1500]).toBeCloseTo(0.05, 12)
    const floor = all({ type: 'cosine', maximum: 2, final: 0.1, warmupShare: 0.5, warmupFrom: 0.5 }, 8)
    expect(floor.slice(0, 5)).toEqual([1, 1.25, 1.5, 1.75, 2])
    expect(floor[6]).toBeCloseTo(2 * (0.9 * 0.5 + 0.1), 12)
    // Past its end the rate stays at the least: a run may go on for longer.
    expect(learningRateOf({ type: 'cosine', maximum: 2, final: 0.1 })(at(99, 8))).toBeCloseTo(0.2, 12)
  })

  it("follows PyTorch's OneCycleLR", () => {
    const steps = 100
    const rates = all({ type: 'oneCycle', maximum: 0.1 }, steps)
    // Of its source: the first phase ends at step 0.3 · 100 - 1, the second at 99; initial 0.1 / 25, least that / 1e4.
    expect(rates[0]).toBeCloseTo(0.004, 15)
    expect(rates[29]).toBe(0.1)
    expect(rates[99]).toBeCloseTo(4e-7, 15)
    expect(rates[64]).toBeCloseTo((0.1 + 4e-7) / 2, 12)
    expect(rates[10]).toBeCloseTo(0.1 + ((0.004 - 0.1) / 2) * (1 + Math.cos((Math.PI * 10) / 29)), 12)
    expect(Math.max(...rates)).toBe(0.1)
    for (const short of [1, 2, 3])
      expect(all({ type: 'oneCycle', maximum: 0.1 }, short).every((rate) => rate > 0 && rate <= 0.1)).toBe(true)
  })

  it('reduces on a plateau, and waits again after each time', () => {
    const rate = learningRateOf({ type: 'reduceOnPlateau', initial: 1, factor: 0.5, patience: 2, minimum: 0.2 })
    const after = (...history: number[]): number => rate(at(1, 1, { metricHistory: losses(...history) }))
    expect(after()).toBe(1)
    expect(after(3, 2, 2)).toBe(1)
    expect(after(3, 2, 2, 2)).toBe(0.5)
    // Less than minDelta (0.0001) better is no progress.
    expect(after(3, 2, 1.99995, 1.99991)).toBe(0.5)
    expect(after(3, 2, 2, 2, 1, 1)).toBe(0.5)
    expect(after(3, 2, 2, 2, 1, 1, 1)).toBe(0.25)
    expect(after(3, 2, 2, 2, 2, 2, 2, 2, 2, 2)).toBe(0.2)
    expect(after(3, Number.NaN, Number.NaN)).toBe(0.5)
  })

  it('counts no epochs while it cools down', () => {
    const config = { type: 'reduceOnPlateau', initial: 1, factor: 0.5, patience: 1 } as const
    const flat = { metricHistory: losses(1, 1, 1, 1, 1) }
    expect(learningRateOf(config)(at(1, 1, flat))).toBe(1 / 16)
    // By Keras's code: reduced after epoch 2, epoch 3 cools, reduced after epochs 4; epoch 5 cools, and so on.
    expect(learningRateOf({ ...config, cooldown: 2 })(at(1, 1, flat))).toBe(1 / 4)
  })

  it('takes an accuracy as something that is to rise', () => {
    const rate = learningRateOf({ type: 'reduceOnPlateau', initial: 1, metric: 'valAccuracy', patience: 2 })
    const of = (...values: number[]): number =>
      rate(at(1, 1, { metricHistory: values.map((valAccuracy) => ({ valAccuracy })) }))
    expect(of(0.1, 0.2, 0.3)).toBe(1)
    expect(of(0.3, 0.2, 0.1)).toBe(0.1)
  })
})

describe('earlyStopping', () => {
  it('stops when patience ends, and names the best epoch', () => {
    const config = { patience: 2 }
    expect(earlyStopping(config, [])).toEqual({ stop: false, best: undefined })
    expect(earlyStopping(config, losses(3, 1, 2))).toEqual({ stop: false, best: 1 })
    expect(earlyStopping(config, losses(3, 1, 2, 1))).toEqual({ stop: true, best: 1 })
    expect(earlyStopping(config, losses(3, 1, 2, 0.5))).toEqual({ stop: false, best: 3 })
    expect(earlyStopping({ patience: 0 }, losses(3, 2, 2))).toEqual({ stop: true, best: 1 })
    expect(earlyStopping({ patience: 1, minDelta: 1 }, losses(3, 2.5))).toEqual({ stop: true, best: 0 })
    expect(earlyStopping({ patience: 1 }, losses(Number.NaN))).toEqual({ stop: true, best: undefined })
  })
})
