import { describe, expect, it } from 'vitest'
import { glorotUniform, philox, shuffled, words } from './random.js'

const hex = (values: readonly number[]): string[] => values.map((value) => value.toString(16).padStart(8, '0'))

describe('philox', () => {
  it("gives the published answers of its authors' known-answer file", () => {
    expect(hex(philox([0, 0], [0, 0, 0, 0]))).toEqual(['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8'])
    const ones = 0xffffffff
    expect(hex(philox([ones, ones], [ones, ones, ones, ones]))).toEqual([
      '408f276d',
      '41c83b0e',
      'a20bc7c6',
      '6d5451fd',
    ])
    expect(hex(philox([0xa4093822, 0x299f31d0], [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344]))).toEqual([
      'd16cfe09',
      '94fdcceb',
      '5001e420',
      '24126ea1',
    ])
  })
})

describe('words', () => {
  it('are a sequence of their own for each seed, purpose and place, above 32 bits and below 0 too', () => {
    const firsts = [
      [1, 0, 0],
      [2, 0, 0],
      [1, 1, 0],
      [1, 0, 1],
      [1 + 2 ** 32, 0, 0],
      [-1, 0, 0],
    ].map(([seed, stream, place]) => words(seed ?? 0, stream ?? 0, place ?? 0)())
    expect(new Set(firsts).size).toBe(firsts.length)
  })
})

describe('shuffled', () => {
  it('holds every row once, in another order each epoch and the same order each time', () => {
    const order = shuffled(1000, 7, 0)
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, row) => row))
    expect(shuffled(1000, 7, 0)).toEqual(order)
    expect(shuffled(1000, 7, 1)).not.toEqual(order)
    expect(shuffled(1, 7, 0)).toEqual(Uint32Array.of(0))
  })

  it('puts each row in each place equally often', () => {
    const counts = Array.from({ length: 5 }, () => new Float64Array(5))
    const rounds = 4000
    for (let epoch = 0; epoch < rounds; epoch++)
      for (const [place, row] of shuffled(5, 3, epoch).entries()) counts[place]![row]!++
    // Chi-squared over a doubly stochastic 5 × 5 table: 16 degrees of freedom, 39.3 is its 99.9% quantile.
    const chi = counts.reduce((sum, row) => sum + row.reduce((s, n) => s + (n - rounds / 5) ** 2 / (rounds / 5), 0), 0)
    expect(chi).toBeLessThan(39.3)
  })
})

describe('glorotUniform', () => {
  it('stays within its limit, fills it, and is centred', () => {
    const values = glorotUniform(100, 50, 1, 0)
    const limit = Math.sqrt(6 / 150)
    expect(Math.max(...values)).toBeLessThanOrEqual(limit)
    expect(Math.max(...values)).toBeGreaterThan(limit * 0.99)
    expect(Math.min(...values)).toBeLessThan(-limit * 0.99)
    expect(Math.abs(values.reduce((a, b) => a + b, 0) / values.length)).toBeLessThan((3 * limit) / Math.sqrt(3 * 5000))
  })
})
