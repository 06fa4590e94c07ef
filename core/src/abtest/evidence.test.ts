import { seeded } from '@tideway/test/support/seeded'
import { describe, expect, it } from 'vitest'
import type { AbDeclaration } from './declaration.js'
import { Evidence } from './evidence.js'
import { planOf } from './plan.js'
import { bernoulli, type Draw, declared, runTest } from './test-runs.fixture.js'
import { verdictOf } from './verdict.js'

function after(of: Partial<AbDeclaration>, draw: Draw, units: number, seed = 1) {
  const plan = planOf(declared(of))
  const random = seeded(seed)
  const evidence = new Evidence(plan)
  for (let unit = 0; unit < units; unit++) {
    const arm = random() < plan.split ? 'treatment' : 'control'
    evidence.observe(arm, draw(arm, random))
  }
  return { plan, evidence, verdict: verdictOf(plan, evidence) }
}

describe('the evidence of an A/B test', () => {
  it('estimates the effect near the difference of the means, within bounds that close in', () => {
    const few = after({ maxUnits: 1e6 }, bernoulli(0.4, 0.5), 500).evidence
    const many = after({ maxUnits: 1e6 }, bernoulli(0.4, 0.5), 20_000).evidence
    const { units, sums, improvement } = many
    expect(improvement.estimate).toBeCloseTo(sums.treatment / units.treatment - sums.control / units.control, 2)
    expect(improvement.low).toBeGreaterThan(few.improvement.low)
    expect(improvement.high).toBeLessThan(few.improvement.high)
    expect(improvement.low).toBeLessThan(0.1)
    expect(improvement.high).toBeGreaterThan(0.1)
  })

  it('has bounds that hold the truth at every look but for alpha and beta of all tests', () => {
    const plan = planOf(declared({ leastEffect: 0.2, maxUnits: 1e6 }))
    const missed = { low: 0, high: 0 }
    for (let test = 0; test < 300; test++) {
      const random = seeded(1000 + test)
      const evidence = new Evidence(plan)
      const seen = { low: false, high: false }
      for (let unit = 1; unit <= 300; unit++) {
        const arm = random() < 0.5 ? 'treatment' : 'control'
        evidence.observe(arm, bernoulli(0.3, 0.4)(arm, random))
        if (unit % 10 > 0) continue
        const { low, high } = evidence.improvement
        seen.low ||= low > 0.1
        seen.high ||= high < 0.1
      }
      if (seen.low) missed.low++
      if (seen.high) missed.high++
    }
    expect(missed.low / 300).toBeLessThanOrEqual(0.05 + 3 * Math.sqrt((0.05 * 0.95) / 300))
    expect(missed.high / 300).toBeLessThanOrEqual(0.2 + 3 * Math.sqrt((0.2 * 0.8) / 300))
    expect(missed.high).toBeGreaterThan(0)
  })

  it('is the same in another unit of the metric', () => {
    const one = after(
      { metric: { kind: 'mean', min: 0, max: 10, sd: 2 }, leastEffect: 1 },
      (_, random) => 10 * random(),
      300,
    )
    const cents = after(
      { metric: { kind: 'mean', min: 0, max: 1000, sd: 200 }, leastEffect: 100 },
      (_, random) => 1000 * random(),
      300,
    )
    expect(cents.plan.maxUnits).toBe(one.plan.maxUnits)
    expect(cents.evidence.pValue).toBeCloseTo(one.evidence.pValue, 9)
    for (const bound of ['low', 'high', 'estimate'] as const)
      expect(cents.evidence.improvement[bound]).toBeCloseTo(100 * one.evidence.improvement[bound], 6)
  })

  it('counts a fall as an improvement where lower is better', () => {
    const rise = after({ better: 'higher' }, bernoulli(0.3, 0.6), 1000)
    const fall = after({ better: 'lower' }, bernoulli(0.7, 0.4), 1000)
    expect(rise.verdict.result).toBe('promote')
    expect(fall.verdict.result).toBe('promote')
    expect(after({ better: 'lower' }, bernoulli(0.3, 0.6), 1000).verdict).toMatchObject({
      result: 'keep',
      reason: expect.stringContaining('worse'),
    })
  })

  it('caps what lies beyond the range, and counts it', () => {
    const plan = planOf(declared({ metric: { kind: 'mean', min: -1, max: 1 } }))
    const evidence = new Evidence(plan)
    for (const value of [5, -7, 0.5, 1]) evidence.observe('control', value)
    expect(evidence.capped).toBe(2)
    expect(evidence.sums.control).toBe(1.5)
  })

  it('knows nothing before the first unit', () => {
    const plan = planOf(declared({}))
    const evidence = new Evidence(plan)
    expect(evidence.improvement).toEqual({ estimate: 0, low: -1, high: 1 })
    expect(evidence.pValue).toBe(1)
    expect(verdictOf(plan, evidence).result).toBe('not yet')
  })
})

describe('the verdict', () => {
  it('is the same however often one looks, and after it was reached', () => {
    const plan = planOf(declared({ leastEffect: 0.1, maxUnits: 5000 }))
    const first = runTest(plan, bernoulli(0.4, 0.55), seeded(7))
    const later = after({ leastEffect: 0.1, maxUnits: 5000 }, bernoulli(0.4, 0.55), 4000, 7)
    expect(first.verdict.result).toBe('promote')
    expect(later.evidence.total).toBeGreaterThan(first.evidence.total)
    expect(later.verdict).toMatchObject({ result: 'promote', settledAfter: first.evidence.total })
    expect(first.verdict.settledAfter).toBe(first.evidence.total)
  })

  it('is "not yet" while both may be, and "keep" when the declared units are used up', () => {
    expect(after({}, bernoulli(0.5), 20).verdict).toMatchObject({
      result: 'not yet',
      reason: expect.stringContaining('20 of'),
    })
    const ended = after({ maxUnits: 50 }, bernoulli(0.5), 60)
    expect(ended.evidence.total).toBe(50)
    expect(ended.verdict).toMatchObject({
      result: 'keep',
      settledAfter: 50,
      reason: expect.stringContaining('50 units'),
    })
  })

  it('is "keep" for a treatment that is better by less than matters', () => {
    const { verdict } = after({ leastEffect: 0.2, maxUnits: 10_000 }, bernoulli(0.5, 0.51), 3000)
    expect(verdict).toMatchObject({ result: 'keep', reason: expect.stringContaining('and 0.2 matters') })
  })

  it('refuses to promote where one arm loses units', () => {
    const plan = planOf(declared({ leastEffect: 0.1, maxUnits: 5000 }))
    const random = seeded(3)
    const evidence = new Evidence(plan)
    for (let unit = 0; unit < 3000; unit++) {
      const arm = random() < 0.5 ? 'treatment' : 'control'
      const value = bernoulli(0.4, 0.6)(arm, random)
      // The treatment's failures are not reported, one time in three.
      if (arm === 'treatment' && value === 0 && random() < 0.33) continue
      evidence.observe(arm, value)
    }
    expect(evidence.better).toBeDefined()
    expect(verdictOf(plan, evidence)).toMatchObject({
      result: 'keep',
      reason: expect.stringContaining('sample ratio mismatch'),
    })
  })

  it('sees such a loss at most as often as its level says where there is none', () => {
    const plan = planOf(declared({ maxUnits: 1000, split: 0.3 }))
    const random = seeded(5)
    let seen = 0
    for (let test = 0; test < 1000; test++) {
      const evidence = new Evidence(plan)
      for (let unit = 0; unit < 300; unit++) evidence.observe(random() < 0.3 ? 'treatment' : 'control', 0)
      if (evidence.ratio.pValue <= 0.05) seen++
    }
    expect(seen / 1000).toBeLessThanOrEqual(0.05 + 3 * Math.sqrt((0.05 * 0.95) / 1000))
    expect(seen).toBeGreaterThan(0)
  })
})
