import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { normal, uniform } from '../models.fixture.js'
import { affineScale, dequantize, quantize, UINT8 } from '../reference.js'
import { Histogram } from './histogram.js'
import { RANGES, type RangeMethod, squaredError } from './ranges.js'

const seen = (...parts: readonly Float32Array[]): Histogram => {
  const histogram = new Histogram()
  for (const part of parts) histogram.see(part)
  return histogram
}
const facts = ({ min, max, zeros, width, bins }: Histogram) => ({ min, max, zeros, width, bins })
const bell = normal(20_000, 1, uniform(3))
const outlier = Float32Array.of(...bell, 60)

describe('the histogram of a tensor', () => {
  it('depends neither on the order nor on the batching of its values, and adds up', () => {
    const parts = fc.array(fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { maxLength: 30 }), {
      maxLength: 6,
    })
    fc.assert(
      fc.property(parts, (lists) => {
        const values = lists.map((list) => Float32Array.from(list))
        const whole = seen(Float32Array.from(lists.flat()))
        expect(facts(seen(...values))).toEqual(facts(whole))
        expect(facts(seen(...values.toReversed()))).toEqual(facts(whole))
        const merged = new Histogram()
        for (const part of values) merged.merge(seen(part))
        expect(facts(merged)).toEqual(facts(whole))
      }),
      { numRuns: 200, seed: 6 },
    )
  })

  it('keeps every value within half a bin, and a bin below a thousandth of the largest', () => {
    const histogram = seen(bell)
    const peak = Math.max(-histogram.min, histogram.max)
    expect(histogram.width).toBeLessThan(peak / 1000)
    expect(histogram.bins.reduce((sum, count) => sum + count, 0)).toBe(bell.length)
    const mean = histogram.bins.reduce((sum, count, bin) => sum + count * histogram.valueAt(bin), 0) / bell.length
    const real = bell.reduce((sum, value) => sum + value, 0) / bell.length
    expect(Math.abs(mean - real)).toBeLessThan(histogram.width)
  })

  it('counts what is not finite and takes the rest', () => {
    const histogram = seen(Float32Array.of(1, NaN, Infinity, -Infinity, -2))
    expect([histogram.bad, histogram.min, histogram.max]).toEqual([3, -2, 1])
  })
})

/** What quantizing really costs, value by value. */
function measured(values: Float32Array, range: { min: number; max: number }): number {
  const scale = affineScale(range.min, range.max, UINT8)
  return values.reduce((sum, x) => sum + (dequantize(quantize(x, scale, UINT8), scale) - x) ** 2, 0)
}

describe('ranges of activations', () => {
  const methods = Object.keys(RANGES) as RangeMethod[]

  it.each(methods)('%s lies inside what was seen, and holds zero only if it must', (method) => {
    for (const values of [bell, outlier, bell.map((x) => Math.max(0, x)), Float32Array.of(3), new Float32Array(9)]) {
      const histogram = seen(values)
      const { min, max } = RANGES[method](histogram, UINT8)
      expect(min).toBeGreaterThanOrEqual(histogram.min)
      expect(max).toBeLessThanOrEqual(histogram.max)
      expect(min).toBeLessThanOrEqual(max)
    }
  })

  it.each(methods)('%s of a tensor without values, or with zeros alone, is zero', (method) => {
    for (const values of [new Float32Array(0), new Float32Array(4)])
      expect(RANGES[method](seen(values), UINT8)).toEqual({ min: 0, max: 0 })
  })

  it('the squared error of a histogram is that of its values', () => {
    for (const [values, range] of [
      [bell, { min: -3, max: 3 }],
      [bell, { min: -1, max: 1 }],
      [outlier, { min: -4, max: 60 }],
    ] as const) {
      const estimate = squaredError(seen(values), affineScale(range.min, range.max, UINT8), UINT8)
      expect(estimate / measured(values, range)).toBeGreaterThan(0.97)
      expect(estimate / measured(values, range)).toBeLessThan(1.03)
    }
  })

  it('mse is no worse than any other on the values themselves', () => {
    for (const values of [bell, outlier, bell.map((x) => x ** 3), bell.map((x) => Math.max(0, x))]) {
      const histogram = seen(values)
      const best = measured(values, RANGES.mse(histogram, UINT8))
      for (const method of methods)
        expect(best).toBeLessThanOrEqual(1.01 * measured(values, RANGES[method](histogram, UINT8)))
    }
  })

  it('percentile and entropy leave an outlier out that minmax keeps', () => {
    const histogram = seen(outlier)
    expect(RANGES.minmax(histogram, UINT8).max).toBe(60)
    expect(RANGES.percentile(histogram, UINT8).max).toBeLessThan(6)
    expect(RANGES.entropy(histogram, UINT8).max).toBeLessThan(60)
  })

  it('percentile cuts off a ten-thousandth of the values at most', () => {
    const { min, max } = RANGES.percentile(seen(bell), UINT8)
    expect(bell.filter((value) => value < min || value > max).length).toBeLessThanOrEqual(2)
  })
})
