import { expect, it } from 'vitest'
import { loadDigits } from './data.js'

it('gives 10,000 images of ten classes, as in the original', async () => {
  const { inputs, targets, classes, scale } = await loadDigits()
  expect(inputs.shape).toEqual([10_000, 784])
  expect(targets.shape).toEqual([10_000])
  expect(classes).toHaveLength(10)
  const perClass = Array.from({ length: 10 }, () => 0)
  for (const target of targets.data as Int32Array) perClass[target]! += 1
  expect(Math.min(...perClass)).toBeGreaterThan(800)
  const pixels = inputs.data as Uint8Array
  expect(pixels.reduce((a, b) => Math.max(a, b)) * (scale ?? 0)).toBeCloseTo(1)
})
