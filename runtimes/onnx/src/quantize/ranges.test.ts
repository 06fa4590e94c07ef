import { describe, expect, it } from 'vitest'
import { normal, uniform } from './models.fixture.js'
import { RangeObserver } from './ranges.js'
import { type AffineScale, affineScale, dequantize, quantize, UINT8 } from './reference.js'

function observed(...batches: readonly Float32Array[]): RangeObserver {
  const observer = new RangeObserver()
  for (const batch of batches) observer.see(batch, 2)
  for (const batch of batches) observer.count(batch)
  return observer
}

/** The squared error itself, value by value. */
const error = (values: Float32Array, scale: AffineScale) =>
  values.reduce((sum, value) => sum + (dequantize(quantize(value, scale, UINT8), scale) - value) ** 2, 0)

describe('the range of a tensor', () => {
  const random = uniform(31)
  const bell = normal(20_000, 1, random)
  const above = Float32Array.from([...bell, 12])
  const below = Float32Array.from([...bell, -12])
  const rectified = bell.map((value) => Math.max(0, value))
  const even = Float32Array.from({ length: 20_000 }, () => random() * 4 - 1)

  const shapes = {
    'normal values': bell,
    'an outlier above': above,
    'an outlier below': below,
    'ReLU outputs': rectified,
    'even values': even,
  }

  it.each(Object.entries(shapes).map(([title, values]) => ({ title, values })))(
    'comes within 3% of the least error of all shares of the full range: $title',
    ({ values }) => {
      const [min, max] = [Math.min(...values), Math.max(...values)]
      const all = Array.from({ length: 51 }, (_unused, i) => {
        const share = 1 - i / 100
        return error(values, affineScale(min * share, max * share, UINT8))
      })
      expect(error(values, observed(values).scale(UINT8))).toBeLessThanOrEqual(1.03 * Math.min(...all))
    },
  )

  it('cuts off a lone outlier on either side, and keeps evenly spread values whole', () => {
    for (const values of [above, below]) {
      const [min, max] = [Math.min(...values), Math.max(...values)]
      expect(observed(values).scale(UINT8).scale).toBeLessThan(0.98 * affineScale(min, max, UINT8).scale)
    }
    const whole = affineScale(Math.min(...even), Math.max(...even), UINT8)
    expect(observed(even).scale(UINT8).scale).toBeGreaterThan(0.98 * whole.scale)
  })

  it('does not depend on how the rows were batched or ordered', () => {
    const parts = [bell.subarray(9000), bell.subarray(0, 10), bell.subarray(10, 9000)]
    expect(observed(...parts).scale(UINT8)).toEqual(observed(bell).scale(UINT8))
  })

  it('has zero point 0 for ReLU outputs, whatever is cut off', () => {
    expect(observed(rectified).scale(UINT8).zeroPoint).toBe(0)
  })

  it('is scale 1 for a tensor that had no values or only zeros', () => {
    expect(observed(new Float32Array(0)).scale(UINT8)).toEqual({ scale: 1, zeroPoint: 0 })
    expect(observed(new Float32Array(5)).scale(UINT8)).toEqual({ scale: 1, zeroPoint: 0 })
  })

  it('counts values that are not finite', () => {
    expect(observed(Float32Array.of(1, NaN, Infinity, -Infinity)).bad).toBe(3)
  })
})
