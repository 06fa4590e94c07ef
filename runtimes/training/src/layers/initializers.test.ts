import { describe, expect, it } from 'vitest'
import { initialize } from './initializers.js'
import { uniform } from './run.fixture.js'

describe('initialize', () => {
  const moments = (values: Float32Array) => {
    const mean = values.reduce((a, b) => a + b) / values.length
    return [mean, values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length] as const
  }
  const shape = [3, 3, 16, 32]
  const [fanIn, fanOut] = [144, 288]

  // Of 4,608 numbers: the variance's standard error is about 2%.
  it.each<[Parameters<typeof initialize>[0], number]>([
    [{ type: 'glorotUniform' }, 2 / (fanIn + fanOut)],
    [{ type: 'glorotNormal' }, 2 / (fanIn + fanOut)],
    [{ type: 'heUniform' }, 2 / fanIn],
    [{ type: 'heNormal' }, 2 / fanIn],
    [{ type: 'lecunUniform' }, 1 / fanIn],
    [{ type: 'lecunNormal' }, 1 / fanIn],
    [{ type: 'randomNormal', mean: 0, stddev: 0.1 }, 0.01],
    [{ type: 'randomUniform', minval: -1, maxval: 1 }, 1 / 3],
  ])('has the variance of its definition: %o', (initializer, variance) => {
    const [mean, found] = moments(initialize(initializer, shape, uniform(11)))
    expect(Math.abs(mean)).toBeLessThan(0.1 * Math.sqrt(variance))
    expect(found / variance).toBeGreaterThan(0.88)
    expect(found / variance).toBeLessThan(1.12)
  })

  it.each([[[6, 4]], [[4, 6]], [[2, 2, 5]]])('orthogonal is orthonormal in its shorter axis: %o', (sizes) => {
    const values = initialize({ type: 'orthogonal', gain: 2 }, sizes, uniform(3))
    const columns = sizes.at(-1) as number
    const rows = values.length / columns
    const at = (vector: number, place: number) =>
      values[rows >= columns ? place * columns + vector : vector * columns + place] as number
    const [vectors, length] = [Math.min(rows, columns), Math.max(rows, columns)]
    for (let a = 0; a < vectors; a++)
      for (let b = 0; b < vectors; b++) {
        let dot = 0
        for (let place = 0; place < length; place++) dot += at(a, place) * at(b, place)
        expect(dot).toBeCloseTo(a === b ? 4 : 0, 5)
      }
  })
})
