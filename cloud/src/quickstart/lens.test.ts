import { expect, it } from 'vitest'
import { dirtyLens } from './lens.js'

it('blurs with the mean of the neighbours and adds haze, clipped at white', () => {
  const image = new Float32Array(25)
  image[12] = 0.9
  const seen = dirtyLens(image, 5, 5)
  expect(seen[12]).toBeCloseTo(0.3)
  expect(seen[6]).toBeCloseTo(0.3)
  expect(seen[0]).toBeCloseTo(0.2)
  expect(dirtyLens(new Float32Array(25).fill(1), 5, 5)[0]).toBe(1)
})
