import { describe, expect, it } from 'vitest'
import { permutation, splitDataset } from './split.js'

const rows = 50
const dataset = {
  inputs: { dtype: 'uint8' as const, shape: [rows, 2], data: Uint8Array.from({ length: rows * 2 }, (_, i) => i) },
  targets: { dtype: 'int32' as const, shape: [rows], data: Int32Array.from({ length: rows }, (_, i) => i) },
  scale: 0.5,
}
const split = { train: 30, validation: 5, test: 15, by: 'shuffle' as const, seed: 3 }

describe('splitting a data set', () => {
  it('gives each row to one part, with its target, scaled', () => {
    const { train, validation, test } = splitDataset(dataset, split)
    const seen = [train, validation, test].flatMap((part) => Array.from(part.targets.data as Int32Array))
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: rows }, (_, i) => i))
    const row = (test.targets.data as Int32Array)[4]!
    expect(Array.from(test.inputs.data.subarray(8, 10))).toEqual([row, row + 0.5])
  })

  it('is the same for the same seed and another for another', () => {
    expect(permutation(100, 1)).toEqual(permutation(100, 1))
    expect(permutation(100, 1)).not.toEqual(permutation(100, 2))
  })

  it('keeps order where time matters', () => {
    const { test } = splitDataset(dataset, { ...split, by: 'order' })
    expect((test.targets.data as Int32Array)[0]).toBe(35)
  })

  it('says when there are too few rows', () => {
    expect(() => splitDataset(dataset, { ...split, train: 40 })).toThrow(/wants 60 rows, the data has 50/)
  })
})
