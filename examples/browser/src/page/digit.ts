import { PIXELS, SIDE } from '../shared.js'

/** MNIST's images: the longer side of what is drawn is 20 pixels, its centre of mass is that of the image. */
const BOX = 20
/** Samples a side within a pixel; their mean is its value. */
const SAMPLES = 4

/** An image of ink, row-major, each value from 0 (none) to 1. */
export interface Ink {
  readonly width: number
  readonly height: number
  at(x: number, y: number): number
}

/**
 * A drawing as the model's input, as MNIST's own digits were made of scans (LeCun et al. 1998): scaled into a box of 20 x
 * 20 without changing its proportions, its centre of mass in the middle of 28 x 28. Undefined for an empty drawing.
 */
export function digitOf(ink: Ink): Float32Array<ArrayBuffer> | undefined {
  const { width, height } = ink
  let [left, top, right, bottom] = [width, height, -1, -1]
  let [mass, sumX, sumY] = [0, 0, 0]
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const value = ink.at(x, y)
      if (value === 0) continue
      left = Math.min(left, x)
      right = Math.max(right, x)
      top = Math.min(top, y)
      bottom = Math.max(bottom, y)
      mass += value
      sumX += value * (x + 0.5)
      sumY += value * (y + 0.5)
    }
  if (mass === 0) return undefined
  const scale = Math.max(right - left + 1, bottom - top + 1) / BOX
  const [centerX, centerY] = [sumX / mass, sumY / mass]
  const digit = new Float32Array(PIXELS)
  for (let place = 0; place < PIXELS; place++) {
    let sum = 0
    for (let sample = 0; sample < SAMPLES ** 2; sample++) {
      const u = (place % SIDE) + ((sample % SAMPLES) + 0.5) / SAMPLES - SIDE / 2
      const v = Math.floor(place / SIDE) + (Math.floor(sample / SAMPLES) + 0.5) / SAMPLES - SIDE / 2
      const [x, y] = [Math.floor(centerX + u * scale), Math.floor(centerY + v * scale)]
      if (x >= 0 && y >= 0 && x < width && y < height) sum += ink.at(x, y)
    }
    digit[place] = sum / SAMPLES ** 2
  }
  return digit
}
