import { describe, expect, it } from 'vitest'
import { boundary, logWealth, type Moments, stakesAround } from './mixture.js'

const NONE: Moments = { s: 0, s2: 0, s3: 0, s4: 0 }
const plus = ({ s, s2, s3, s4 }: Moments, x: number): Moments => ({
  s: s + x,
  s2: s2 + x ** 2,
  s3: s3 + x ** 3,
  s4: s4 + x ** 4,
})

describe('the capital of a gambler', () => {
  it('begins at 1, and its stakes are shares of it', () => {
    for (const planned of [1e-4, 0.01, 0.3, 5]) {
      const stakes = stakesAround(planned)
      expect(logWealth(stakes, NONE)).toBeCloseTo(0, 12)
      expect(stakes.logWeights.reduce((sum, weight) => sum + Math.exp(weight), 0)).toBeCloseTo(1, 12)
      expect(Math.max(...stakes.lambdas)).toBeLessThan(1)
      expect(Math.max(...stakes.logWeights)).toBeGreaterThanOrEqual(Math.log(0.5) - 1e-9)
    }
  })

  it('does not grow on average in a fair game, by counting every way that it can go', () => {
    const games = [
      [
        [-1, 0.5],
        [1, 0.5],
      ],
      [
        [-1, 0.05],
        [0.05 / 0.95, 0.95],
      ],
      [
        [-0.02, 0.98],
        [0.98, 0.02],
      ],
      [
        [-1, 0.2],
        [0, 0.6],
        [1, 0.2],
      ],
    ] as const
    const stakes = stakesAround(0.2)
    const mean = (game: readonly (readonly [number, number])[], rounds: number, moments = NONE): number =>
      rounds === 0
        ? Math.exp(logWealth(stakes, moments))
        : game.reduce((sum, [x, chance]) => sum + chance * mean(game, rounds - 1, plus(moments, x)), 0)
    for (const game of games) {
      expect(game.reduce((sum, [x, chance]) => sum + x * chance, 0)).toBeCloseTo(0, 12)
      const means = [1, 2, 4, 8].map((rounds) => mean(game, rounds))
      for (const [at, value] of means.entries())
        expect(value).toBeLessThanOrEqual(at === 0 ? 1 : (means[at - 1] as number) + 1e-12)
    }
    // A game with a drift is not fair, so the count can tell.
    expect(
      mean(
        [
          [-1, 0.3],
          [1, 0.7],
        ],
        8,
      ),
    ).toBeGreaterThan(1.1)
  })

  it('is close to that of one who is paid by the round, and never above it', () => {
    const stakes = stakesAround(0.1)
    const rounds = Array.from({ length: 300 }, (_, at) => Math.sin(at * at) * (at % 7 === 0 ? 1 : 0.1) + 0.02)
    const paid = Math.log(
      stakes.lambdas.reduce(
        (sum, lambda, at) =>
          sum + rounds.reduce((capital, x) => capital * (1 + lambda * x), Math.exp(stakes.logWeights[at] as number)),
        0,
      ),
    )
    const own = logWealth(stakes, rounds.reduce(plus, NONE))
    expect(own).toBeLessThanOrEqual(paid)
    expect(own).toBeGreaterThan(paid - 0.02)
  })

  it('holds what no double can', () => {
    expect(logWealth(stakesAround(0.1), { s: 1e6, s2: 1e6, s3: 1e6, s4: 1e6 })).toBeGreaterThan(1e4)
  })

  it('reaches 1 / level at the boundary, which rises with the squares and with the evidence asked for', () => {
    const stakes = stakesAround(0.05)
    let before = 0
    for (const s2 of [0, 1, 10, 1e3, 1e5]) {
      const moments = { ...NONE, s2, s3: s2 / 4, s4: s2 / 8 }
      const at = boundary(stakes, moments, 0.05)
      expect(Math.exp(-logWealth(stakes, { ...moments, s: at }))).toBeCloseTo(0.05, 9)
      expect(at).toBeGreaterThan(before)
      expect(boundary(stakes, moments, 0.01)).toBeGreaterThan(at)
      before = at
    }
  })
})
