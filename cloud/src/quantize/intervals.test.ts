import { describe, expect, it } from 'vitest'
import { pairedLoss, wilson } from './intervals.js'

const Z = 1.959963984540054

describe('the interval of a share', () => {
  it.each([
    [8, 10, 0.4902, 0.9433],
    [0, 10, 0, 0.2775],
    [10, 10, 0.7225, 1],
  ])('of %d in %d is what tables of Wilson’s interval give', (count, rows, low, high) => {
    const interval = wilson(count, rows)
    expect(interval.low).toBeCloseTo(low, 4)
    expect(interval.high).toBeCloseTo(high, 4)
  })

  it('has bounds that the share is 1.96 standard errors from, by the error at the bound itself', () => {
    for (const [count, rows] of [
      [3, 17],
      [950, 1000],
      [1, 2],
    ] as const) {
      const { low, high } = wilson(count, rows)
      for (const bound of [low, high])
        expect(Math.abs(count / rows - bound) / Math.sqrt((bound * (1 - bound)) / rows)).toBeCloseTo(Z, 8)
    }
  })

  it('is everything without rows', () => {
    expect(wilson(0, 0)).toEqual({ low: 0, high: 1 })
  })
})

/** How often the interval holds the true loss, over all ways in which rows can fall. */
function coverage(rows: number, broken: number, mended: number): number {
  const logFactorial = [0]
  for (let n = 1; n <= rows; n += 1) logFactorial.push(logFactorial[n - 1]! + Math.log(n))
  const stays = 1 - broken - mended
  let sum = 0
  for (let b = 0; b <= rows; b += 1)
    for (let c = 0; b + c <= rows; c += 1) {
      const { low, high } = pairedLoss(b, c, rows)
      if (broken - mended < low || broken - mended > high) continue
      const rest = rows - b - c
      const ways = logFactorial[rows]! - logFactorial[b]! - logFactorial[c]! - logFactorial[rest]!
      sum += Math.exp(ways + b * Math.log(broken) + c * Math.log(mended) + rest * Math.log(stays))
    }
  return sum
}

describe('the interval of a loss over the same rows', () => {
  it.each([
    [40, 0.1, 0.05],
    [100, 0.02, 0.01],
    [100, 0.01, 0.01],
    [150, 0.2, 0.1],
  ])('holds the true loss about 95 times in 100: %d rows, %d broken, %d mended', (rows, broken, mended) => {
    expect(coverage(rows, broken, mended)).toBeGreaterThan(0.93)
  })

  it('has a width where no row changed, and is narrower with more rows', () => {
    const [few, many] = [pairedLoss(0, 0, 50), pairedLoss(0, 0, 5000)]
    expect(few.low).toBeLessThan(0)
    expect(few.high).toBeGreaterThan(0)
    expect(many.high - many.low).toBeLessThan((few.high - few.low) / 50)
  })
})
