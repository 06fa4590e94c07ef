import type { Dataset, Tensor } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { channelsFirst, imageInput, rowsFor } from './rows.js'

describe('the images that a model takes', () => {
  it.each([
    ["PyTorch's layout", [3, 32, 24], undefined, [32, 24, 3], [3, 32, 24]],
    ["Keras's layout", [32, 24, 3], undefined, [32, 24, 3], [32, 24, 3]],
    ['sizes left free', [3, null, null], [16, 8, 3], [16, 8, 3], [3, 16, 8]],
    ['one plane', [28, 20], undefined, [28, 20, 1], [28, 20]],
    ['flat rows', [48], [4, 4, 3], [4, 4, 3], [48]],
  ] as const)('are told from its input: %s', (_name, row, wanted, shape, made) => {
    expect(imageInput(row, wanted)).toEqual({ shape, row: made })
  })

  it.each([
    ['of other channels', [5, 8, 8], undefined, /no images of 1 or 3 channels/],
    ['of free sizes', [3, null, 8], undefined, /give --image/],
    ['flat', [64], undefined, /--image HxWxC/],
    ['of another size than was asked for', [3, 8, 8], [16, 16, 3], /--image 16x16x3 does not fit/],
    ['flat, of another size', [64], [4, 4, 3], /--image 4x4x3 does not fit/],
  ] as const)('are refused: %s', (_name, row, wanted, message) => {
    expect(imageInput(row, wanted)).toMatch(message)
  })
})

describe('rows for a model', () => {
  const pixels: Tensor = {
    dtype: 'uint8',
    shape: [2, 1, 2, 3],
    data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12),
  }
  const dataset: Dataset = { inputs: pixels, targets: { dtype: 'int32', shape: [2], data: Int32Array.of(0, 1) } }

  it('have their channels first where the model has', () => {
    const turned = { dtype: 'uint8', shape: [2, 3, 1, 2], data: Uint8Array.of(1, 4, 2, 5, 3, 6, 7, 10, 8, 11, 9, 12) }
    expect(channelsFirst(pixels)).toEqual(turned)
    expect(rowsFor(dataset, [3, 1, 2])).toMatchObject({ inputs: turned })
  })

  it('stay as they are where they fit, and are laid out where either is flat', () => {
    expect(rowsFor(dataset, [1, 2, 3])).toBe(dataset)
    expect(rowsFor(dataset, [6])).toMatchObject({ inputs: { shape: [2, 6], data: pixels.data } })
  })

  it('are refused where sizes differ, or axes would be mixed up', () => {
    expect(rowsFor(dataset, [2, 2, 3])).toBe('rows of [1, 2, 3], but the model takes [2, 2, 3]')
    expect(rowsFor(dataset, [2, 1, 3])).toMatch(/rows of/)
    const plane: Dataset = { ...dataset, inputs: { ...pixels, shape: [2, 2, 3, 1] } }
    expect(rowsFor(plane, [1, 2, 3])).toMatchObject({ inputs: { shape: [2, 1, 2, 3] } })
    expect(rowsFor(plane, [2, 3])).toMatchObject({ inputs: { shape: [2, 2, 3] } })
    expect(rowsFor(plane, [3, 2, 1])).toMatch(/rows of \[2, 3, 1\]/)
  })
})
