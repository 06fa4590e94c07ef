import { GraphBuilder, LEARNED_QUANTIZE, writeModel } from '@tideway/onnx'
import { words } from '@tideway/training'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { channelsOf, leastSquares, levelsOf, roundTo, unitsOf } from './scales.js'

const next = words(7, 1, 0)
/** About normal: the sum of twelve uniform numbers. */
const normal = (): number => Array.from({ length: 12 }, () => next() / 2 ** 32).reduce((sum, value) => sum + value, -6)

describe('scales of weights', () => {
  it('belong to channels along the first axis or the last', () => {
    const [first, last] = [channelsOf([2, 3, 2, 2], 0), channelsOf([3, 2], 1)]
    expect([0, 11, 12, 23].map(first.of)).toEqual([0, 0, 1, 1])
    expect([0, 1, 2, 5].map(last.of)).toEqual([0, 1, 0, 1])
    expect([first.count, last.count]).toEqual([2, 2])
  })

  it.each([1, 3, 7, 63])(
    'make the least error of %i levels: none of a thousand others is better by a tenth',
    (levels) => {
      const data = Float32Array.from({ length: 400 }, normal)
      const all = { count: 1, of: () => 0 }
      const errorOf = (scale: number): number =>
        data.reduce((sum, value) => sum + (value - roundTo(value, scale, levels)) ** 2, 0)
      const peak = Math.max(...data.map(Math.abs))
      const least = Math.min(...Array.from({ length: 1000 }, (_, at) => errorOf((peak / levels) * ((at + 1) / 1000))))
      expect(errorOf(leastSquares(data, all, levels)[0] ?? 0)).toBeLessThan(1.1 * least)
    },
  )

  it('of nothing but zeros are positive, and units are 1', () => {
    const none = new Float32Array(4)
    const all = { count: 1, of: () => 0 }
    expect(leastSquares(none, all, 3)[0]).toBeGreaterThan(0)
    expect(unitsOf(none, all)).toEqual(Float32Array.of(1))
  })

  it('stand to units that are powers of two, in which squares sum to between a half and 2', () => {
    const data = Float32Array.from({ length: 27 }, (_, at) => normal() * [1e-20, 0.03, 4e5][at % 3]!)
    const channels = channelsOf([9, 3], 1)
    const units = unitsOf(data, channels)
    for (const [channel, unit] of units.entries()) {
      expect(Number.isInteger(Math.log2(unit))).toBe(true)
      const own = data.filter((_, at) => at % 3 === channel).map((value) => value / unit)
      const sum = own.reduce((total, value) => total + value * value, 0)
      if (channel > 0) expect(sum).toBeGreaterThanOrEqual(0.5)
      expect(sum).toBeLessThanOrEqual(2)
    }
  })

  it('round here as the training graph does, ends and halves of steps included', async () => {
    const scale = 0.375
    const data = Float32Array.from({ length: 200 }, (_, at) => (at < 40 ? ((at - 20) / 4) * scale : normal()))
    for (const bits of [2, 3, 4]) {
      const g = new GraphBuilder('rounding')
      const x = g.input('x', 'float32', [data.length])
      const by = g.constant({ dtype: 'float32', shape: [], data: Float32Array.of(scale) })
      g.output('y', g.op(LEARNED_QUANTIZE, [x, by], { levels: BigInt(levelsOf(bits)) }, { name: 'y' }))
      const session = await InferenceSession.create(writeModel(g.build()))
      const { y } = await session.run({ x: new Tensor('float32', data, [data.length]) })
      await session.release()
      // -0 and 0 are the same weight.
      expect(Array.from(y?.data as Float32Array, (value) => value + 0)).toEqual(
        Array.from(data, (value) => roundTo(value, scale, levelsOf(bits)) + 0),
      )
    }
  })
})
