import { describe, expect, it } from 'vitest'
import { fisherPValue } from './fisher.js'
import { ksPValue } from './kolmogorov-smirnov.js'
import { logChoose, logFactorial } from './log-factorial.js'

/** Exact binomial coefficients: the oracle. */
function choose(n: number, k: number): bigint {
  if (k < 0 || k > n) return 0n
  let value = 1n
  for (let i = 1; i <= k; i++) value = (value * BigInt(n - k + i)) / BigInt(i)
  return value
}

/** a / b without overflow of either. */
function ratio(a: bigint, b: bigint): number {
  if (a === 0n) return 0
  const digits = (value: bigint) => value.toString().length
  const shift = 18 - digits(a) + digits(b)
  const scaled = shift >= 0 ? (a * 10n ** BigInt(shift)) / b : a / (b * 10n ** BigInt(-shift))
  return Number(`${scaled}e${-shift}`)
}

const relative = (actual: number, expected: number) => Math.abs(actual / expected - 1)

/** All ways to interleave n and m values, and the share of them whose distance reaches `reach`. */
function enumerated(reach: number, n: number, m: number): number {
  let hits = 0
  let all = 0
  const walk = (i: number, j: number, reached: boolean): void => {
    const now = reached || Math.abs(i * m - j * n) >= reach
    if (i === n && j === m) {
      all++
      if (now) hits++
      return
    }
    if (i < n) walk(i + 1, j, now)
    if (j < m) walk(i, j + 1, now)
  }
  walk(0, 0, false)
  return hits / all
}

describe('logFactorial', () => {
  it('agrees with exact products, on both sides of where the series begins', () => {
    let exact = 1n
    for (let n = 1; n <= 300; n++) {
      exact *= BigInt(n)
      const digits = exact.toString()
      const expected = Math.log(Number(`0.${digits.slice(0, 17)}`)) + digits.length * Math.LN10
      if (n > 1) expect(relative(logFactorial(n), expected), String(n)).toBeLessThan(2e-15)
    }
    expect([logFactorial(0), logFactorial(1)]).toEqual([0, 0])
    expect(logChoose(5, 6)).toBe(Number.NEGATIVE_INFINITY)
    expect(logChoose(5, -1)).toBe(Number.NEGATIVE_INFINITY)
  })
})

describe('ksPValue', () => {
  it('equals the enumeration of all orders of two small samples', () => {
    for (const [n, m] of [
      [1, 1],
      [1, 5],
      [2, 3],
      [4, 4],
      [3, 7],
      [7, 3],
      [5, 6],
      [8, 6],
    ] as const)
      for (let reach = 1; reach <= n * m; reach++)
        expect(ksPValue(reach, n, m), `${reach} of ${n}x${m}`).toBeCloseTo(enumerated(reach, n, m), 13)
  })

  it('equals the closed form for samples of one size, down to 1e-299', () => {
    for (const [n, k] of [
      [50, 10],
      [200, 31],
      [500, 100],
      [500, 400],
      [500, 500],
    ] as const) {
      let sum = 0n
      // Gnedenko and Korolyuk, 1951.
      for (let j = 1; j * k <= n; j++) sum += (j % 2 ? 2n : -2n) * choose(2 * n, n - j * k)
      expect(relative(ksPValue(k * n, n, n), ratio(sum, choose(2 * n, n))), `${k} of ${n}`).toBeLessThan(1e-9)
    }
    expect(ksPValue(500 * 500, 500, 500)).toBeLessThan(1e-298)
  })

  it('does not care which sample is the first, and falls as the distance grows', () => {
    let before = 1
    for (let reach = 1000; reach <= 40_000; reach += 500) {
      const p = ksPValue(reach, 400, 100)
      expect(relative(p, ksPValue(reach, 100, 400))).toBeLessThan(1e-12)
      expect(p).toBeLessThanOrEqual(before)
      before = p
    }
  })

  it('is 1 for no distance or no values, and never 0', () => {
    expect([ksPValue(0, 10, 10), ksPValue(5, 0, 10), ksPValue(5, 10, 0)]).toEqual([1, 1, 1])
    expect(ksPValue(2000 * 1900, 2000, 1900)).toBeGreaterThan(0)
    expect(ksPValue(1e6 * 1e6, 1e6, 1e6)).toBeGreaterThan(0)
  })

  it('is bounded from above where the exact value is out of reach, and not by much', () => {
    const [n, m] = [100_000, 20_000]
    const distance = 0.04
    const asymptotic = 2 * Math.exp((-2 * distance ** 2 * n * m) / (n + m))
    const p = ksPValue(Math.round(distance * n * m), n, m)
    expect(p).toBeGreaterThan(asymptotic)
    expect(Math.log(p) / Math.log(asymptotic)).toBeGreaterThan(0.5)
  })
})

describe('fisherPValue', () => {
  /** Twice the smaller of the tails that the mean separates, in whole numbers. */
  function exactly(a: number, m: number, b: number, n: number): number {
    const hits = a + b
    const lower = a * (m + n) <= hits * m
    let sum = 0n
    for (let x = lower ? 0 : a; lower ? x <= a : x <= Math.min(m, hits); x++)
      sum += choose(hits, x) * choose(m + n - hits, m - x)
    return Math.min(1, 2 * ratio(sum, choose(m + n, m)))
  }

  it('equals sums of exact binomial coefficients, at the corners too', () => {
    for (const [m, n] of [
      [1, 1],
      [5, 9],
      [9, 5],
      [60, 100],
      [100, 1000],
      [700, 400],
    ] as const) {
      const step = Math.max(1, Math.floor(m / 6))
      for (let a = 0; a <= m; a += step)
        for (let b = 0; b <= n; b += Math.max(1, Math.floor(n / 6))) {
          if (a + b === 0 || a + b === m + n) expect(fisherPValue(a, m, b, n)).toBe(1)
          else {
            const expected = exactly(a, m, b, n)
            if (expected > 1e-300)
              expect(relative(fisherPValue(a, m, b, n), expected), `${a}/${m} ${b}/${n}`).toBeLessThan(1e-9)
          }
        }
    }
  })

  it('works down to 1e-290, and never answers 0', () => {
    const p = fisherPValue(480, 480, 0, 500)
    expect(relative(p, exactly(480, 480, 0, 500))).toBeLessThan(1e-9)
    expect(p).toBeLessThan(1e-290)
    expect(fisherPValue(100_000, 100_000, 0, 100_000)).toBeGreaterThan(0)
  })

  it('is 1 when there is nothing to compare', () => {
    expect([fisherPValue(0, 10, 0, 10), fisherPValue(10, 10, 10, 10), fisherPValue(0, 0, 5, 10)]).toEqual([1, 1, 1])
  })
})
