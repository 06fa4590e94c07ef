import { describe, expect, it } from 'vitest'
import { narrow } from '../wire/parse.js'
import { abDeclarationSchema } from './declaration.js'
import { planOf } from './plan.js'

const base = { control: 1, treatment: 2, metric: { kind: 'binary' }, leastEffect: 0.05 }
const read = (of: object) => narrow(abDeclarationSchema, { ...base, ...of }, 'the test')

describe('the declaration of an A/B test', () => {
  it('has error rates of its own where none are declared, and takes versions by number or alias', () => {
    expect(read({ control: '3', treatment: 'candidate' })).toMatchObject({
      control: 3,
      treatment: 'candidate',
      alpha: 0.05,
      beta: 0.2,
      split: 0.5,
      better: 'higher',
    })
  })

  it.each([
    { of: { leastEffect: 0 }, names: 'leastEffect' },
    { of: { leastEffect: 1.5 }, names: 'leastEffect' },
    { of: { alpha: 0.5, beta: 0 }, names: 'alpha' },
    { of: { split: 1 }, names: 'split' },
    { of: { metric: { kind: 'mean' } }, names: 'metric.min' },
    { of: { metric: { kind: 'mean', min: 1, max: 1 } }, names: 'metric.max' },
    { of: { metric: { kind: 'mean', min: 0, max: 1, sd: 0.6 } }, names: 'metric.sd' },
    { of: { metric: { kind: 'mean', min: 0, max: 1, baseline: 2 } }, names: 'metric.baseline' },
    { of: { metric: { kind: 'median' } }, names: 'metric.kind' },
    { of: { stopEarly: true }, names: 'stopEarly' },
    { of: { control: '03' }, names: 'control' },
  ])('names $names where it is wrong', ({ of, names }) => {
    expect(() => read(of)).toThrow(
      expect.objectContaining({ code: 'INPUT_REJECTED', message: expect.stringContaining(names) }) as Error,
    )
  })

  it('says how many units are needed at most: four times as many for half of the effect', () => {
    const needed = (leastEffect: number) =>
      planOf(read({ metric: { kind: 'mean', min: 0, max: 1, sd: 0.2 }, leastEffect })).maxUnits
    expect(needed(0.01) / needed(0.02)).toBeCloseTo(4, 2)
    expect(planOf(read({ maxUnits: 77 })).maxUnits).toBe(77)
  })
})
