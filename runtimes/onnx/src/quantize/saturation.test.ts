import { describe, expect, it } from 'vitest'
import { uniform } from './models.fixture.js'
import { type IntegerRange, integerDense, saturate, UINT8, WEIGHT_RANGE } from './reference.js'

const INT16: IntegerRange = { min: -(2 ** 15), max: 2 ** 15 - 1 }

/**
 * One dot product as x86 without VNNI computes it: VPMADDUBSW multiplies unsigned with signed bytes and adds neighbours
 * in 16 bits with saturation, VPMADDWD with ones then adds those in 32 bits, which hold them.
 */
function vpmaddubsw(activations: ArrayLike<number>, weights: ArrayLike<number>): number {
  let sum = 0
  for (let k = 0; k < activations.length; k += 2) {
    const first = (activations[k] ?? 0) * (weights[k] ?? 0)
    const second = (activations[k + 1] ?? 0) * (weights[k + 1] ?? 0)
    sum = (sum + saturate(first + second, INT16)) | 0
  }
  return sum
}

const exact = (activations: ArrayLike<number>, weights: ArrayLike<number>) =>
  integerDense(activations, weights, undefined, [1, activations.length, 1])[0]

describe('the weights in 7 bits', () => {
  it('cannot saturate a 16-bit sum with any pair of activations and weights', () => {
    // The sum is linear in each of the four values, so its extremes lie at the corners of their ranges.
    for (const a of [UINT8.min, UINT8.max]) {
      for (const b of [UINT8.min, UINT8.max]) {
        for (const v of [WEIGHT_RANGE.min, WEIGHT_RANGE.max]) {
          for (const w of [WEIGHT_RANGE.min, WEIGHT_RANGE.max]) {
            expect(vpmaddubsw([a, b], [v, w])).toBe(exact([a, b], [v, w]))
          }
        }
      }
    }
  })

  it('use the widest range that cannot, and 8 bits would', () => {
    const wider = WEIGHT_RANGE.max + 1
    expect(vpmaddubsw([255, 255], [wider, wider])).not.toBe(2 * 255 * wider)
    expect(vpmaddubsw([255, 255], [127, 127])).toBe(INT16.max)
  })

  it('give the exact dot product over long random vectors, where 8-bit weights do not', () => {
    const random = uniform(7)
    const bright = Uint8Array.from({ length: 1024 }, () => 200 + random() * 56)
    const draw = (peak: number) => Int8Array.from({ length: 1024 }, () => Math.round((random() * 1.5 - 0.5) * peak))
    const seven = draw(WEIGHT_RANGE.max)
    const eight = draw(127)
    expect(vpmaddubsw(bright, seven)).toBe(exact(bright, seven))
    expect(vpmaddubsw(bright, eight)).not.toBe(exact(bright, eight))
  })
})
