import { describe, expect, it } from 'vitest'
import { assign, pick } from './assign.js'
import type { Share } from './policy.js'

const KEYS = Array.from({ length: 20_000 }, (_, at) => `user-${at}`)
const canary = (percent: number): Share[] => [
  { version: 1, weight: 100 - percent },
  { version: 2, weight: percent },
]

/** Chi-square of how often each version was assigned; beyond 99.9% of chance at so many degrees of freedom? */
function isUneven(shares: readonly Share[], answers: readonly number[]): boolean {
  const CRITICAL = [0, 10.83, 13.82, 16.27, 18.47]
  const statistic = shares.reduce((sum, { version, weight }) => {
    const expected = (answers.length * weight) / 100
    return sum + (answers.filter((answer) => answer === version).length - expected) ** 2 / expected
  }, 0)
  return statistic > (CRITICAL[shares.length - 1] as number)
}

describe('the version for a key', () => {
  it.each([
    { shares: canary(5) },
    { shares: canary(50) },
    { shares: [20, 30, 50].map((weight, at) => ({ version: at + 1, weight })) },
    { shares: [1, 9, 10, 30, 50].map((weight, at) => ({ version: at + 1, weight })) },
  ])('is in proportion to the weights: $shares', ({ shares }) => {
    for (const salt of ['a', 'b', 'c']) {
      const answers = KEYS.map((key) => assign(key, salt, shares))
      expect(isUneven(shares, answers)).toBe(false)
      // The same numbers are uneven where the weights are others.
      expect(
        isUneven(
          shares.map((share, at) => ({ ...share, weight: share.weight + (at === 0 ? 2 : at === 1 ? -2 : 0) })),
          answers,
        ),
      ).toBe(true)
    }
  })

  it('stays, and is another one under another salt for as many as chance would have it', () => {
    const shares = canary(50)
    for (const key of KEYS.slice(0, 100)) expect(assign(key, 'a', shares)).toBe(assign(key, 'a', shares))
    const same = KEYS.filter((key) => assign(key, 'a', shares) === assign(key, 'b', shares)).length
    expect(same / KEYS.length).toBeCloseTo(0.5, 1)
  })

  it('moves only new keys to a canary that grows, and back only those that had come', () => {
    for (const key of KEYS) {
      const [five, ten] = [assign(key, 'a', canary(5)), assign(key, 'a', canary(10))]
      if (five === 2) expect(ten).toBe(2)
    }
    const moved = KEYS.filter((key) => assign(key, 'a', canary(5)) !== assign(key, 'a', canary(10))).length
    expect(moved / KEYS.length).toBeCloseTo(0.05, 2)
  })

  it('moves keys only to a version whose share grew, also among many', () => {
    const before: Share[] = [40, 30, 30].map((weight, at) => ({ version: at + 1, weight }))
    const after: Share[] = [20, 15, 65].map((weight, at) => ({ version: at + 1, weight }))
    for (const key of KEYS.slice(0, 5000)) {
      const now = assign(key, 'a', after)
      if (now !== assign(key, 'a', before)) expect(now).toBe(3)
    }
  })
})

describe('the version for a draw', () => {
  it('is in proportion to the weights, with every version at its end', () => {
    const shares = canary(25)
    const answers = Array.from({ length: 1000 }, (_, at) => pick(at / 1000, shares))
    expect(answers.filter((version) => version === 2)).toHaveLength(250)
    expect(pick(1 - 2 ** -53, shares)).toBe(2)
    expect(pick(0, shares)).toBe(1)
  })
})
