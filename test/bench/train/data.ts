import type { TrainData } from '@tideway/core'
import { loadDigits } from '@tideway/example-digits'
import { shuffledRows } from '@tideway/training'

const SIDE = 28

/** Puts a digit's 784 pixels, from 0 to 1, into a row of another shape. */
type Fit = (digit: Float32Array, row: Float32Array) => void

/** Rows by their shape: as they are, cut to fewer pixels, or in the middle of a larger image, the same in each channel. */
function fitOf(shape: readonly number[]): Fit {
  const [height = 0, width = 1, channels = 1] = shape
  if (height * width === digitSize && channels === 1) return (digit, row) => row.set(digit)
  if (height * width < digitSize)
    return (digit, row) => row.set(digit.subarray((digitSize - row.length) / 2).subarray(0, row.length))
  const [top, left] = [(height - SIDE) / 2, (width - SIDE) / 2]
  return (digit, row) => {
    for (let at = 0; at < digitSize; at++) {
      const place = (top + Math.floor(at / SIDE)) * width + left + (at % SIDE)
      row.fill(digit[at] ?? 0, place * channels, (place + 1) * channels)
    }
  }
}

const digitSize = SIDE * SIDE

/** Digits drawn over all classes. */
export async function digits(rows: number, shape: readonly number[], seed: number): Promise<TrainData> {
  const all = await loadDigits()
  const pixels = all.inputs.data as Uint8Array
  const labels = all.targets.data as Int32Array
  const chosen = shuffledRows(labels.length, seed, 0).subarray(0, rows)
  const size = shape.reduce((product, length) => product * length, 1)
  const inputs = new Float32Array(rows * size)
  const fit = fitOf(shape)
  const digit = new Float32Array(digitSize)
  for (const [row, from] of chosen.entries()) {
    for (let at = 0; at < digitSize; at++) digit[at] = (pixels[from * digitSize + at] ?? 0) / 255
    fit(digit, inputs.subarray(row * size, (row + 1) * size))
  }
  return {
    inputs: { dtype: 'float32', shape: [rows, ...shape], data: inputs },
    targets: { dtype: 'int32', shape: [rows], data: Int32Array.from(chosen, (from) => labels[from] ?? 0) },
  }
}
