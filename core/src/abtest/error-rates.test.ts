import { seeded } from '@tideway/test/support/seeded'
import { describe, expect, it } from 'vitest'
import { atMost, bernoulli, peekedZTest, runTests, skewed } from './test-runs.fixture.js'

const TESTS = 2_000
const UNITS = 800

describe('an A/B test that is looked at after every unit', () => {
  it.each([
    { name: 'a rate of 0.5', of: {}, draw: bernoulli(0.5) },
    {
      name: 'a rate of 0.05',
      of: { metric: { kind: 'binary', baseline: 0.05 }, leastEffect: 0.03 },
      draw: bernoulli(0.05),
    },
    {
      name: 'a rate of 0.005',
      of: { metric: { kind: 'binary', baseline: 0.005 }, leastEffect: 0.01 },
      draw: bernoulli(0.005),
    },
    {
      name: 'a skewed mean',
      of: { metric: { kind: 'mean', min: 0, max: 10, sd: 1 }, leastEffect: 0.3 },
      draw: skewed(),
    },
    {
      name: 'a wrong guess of the rate',
      of: { metric: { kind: 'binary', baseline: 0.001 }, leastEffect: 0.03 },
      draw: bernoulli(0.5),
    },
    { name: 'a split of 1 to 9', of: { split: 0.1, leastEffect: 0.1 }, draw: bernoulli(0.3) },
  ] as const)('promotes one that is no better in at most alpha of all tests: $name', ({ of, draw }) => {
    const { promoted } = runTests(of, draw, seeded(1), TESTS, UNITS)
    expect(promoted).toBeLessThanOrEqual(atMost(0.05, TESTS))
  })

  it('does promote some of them, as often as the level lets it', () => {
    const { promoted } = runTests({ alpha: 0.2, leastEffect: 0.1 }, bernoulli(0.5), seeded(5), 500, UNITS)
    expect(promoted).toBeLessThanOrEqual(atMost(0.2, 500))
    expect(promoted).toBeGreaterThan(0.05)
  })

  it('would promote many if it were a z-test, so that this simulation can tell', () => {
    const random = seeded(2)
    const promoted = Array.from({ length: 500 }, () => peekedZTest(bernoulli(0.5), random, UNITS)).filter(
      Boolean,
    ).length
    expect(promoted / 500).toBeGreaterThan(2 * atMost(0.05, 500))
  })

  it.each([
    { name: 'a rate', of: { leastEffect: 0.1 }, draw: bernoulli(0.4, 0.5) },
    {
      name: 'a rare thing',
      of: { metric: { kind: 'binary', baseline: 0.05 }, leastEffect: 0.05 },
      draw: bernoulli(0.05, 0.1),
    },
  ] as const)(
    'finds the least effect with the declared power, and gives it up in at most beta of all tests: $name',
    ({ of, draw }) => {
      const { promoted, kept } = runTests(of, draw, seeded(3), 400)
      expect(promoted).toBeGreaterThanOrEqual(0.8)
      expect(kept).toBeLessThanOrEqual(atMost(0.2, 400))
    },
  )

  it('keeps control where the treatment is worse', () => {
    const { kept, promoted } = runTests({ leastEffect: 0.1 }, bernoulli(0.5, 0.4), seeded(4), 200)
    expect(promoted).toBe(0)
    expect(kept).toBe(1)
  })
})
