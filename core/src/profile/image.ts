import type { Source } from './sources.js'

export type ImageStatistic = 'mean' | 'deviation' | 'sharpness' | 'dark' | 'bright' | 'centroidX' | 'centroidY'

/** Takes all statistics of a row's image in two passes; they stay until the next row. */
export interface ImageReader {
  read(row: number): Readonly<Record<ImageStatistic, number>>
}

const DARK = 0.1
const BRIGHT = 0.9

/**
 * Reads images of `shape` [height, width, channels] from a source. A row of another size, or with a value that is not a
 * number, gives NaN. Sharpness is the mean absolute 4-neighbour Laplacian over the inner pixels (a focus measure as in
 * Nayar and Nakagawa, "Shape from Focus", 1994), 0 for images without any.
 */
export function createImageReader(source: Source, shape: readonly [number, number, number]): ImageReader {
  const [height, width, channels] = shape
  const pixels = new Float64Array(height * width)
  const found: Record<ImageStatistic, number> = {
    mean: 0,
    deviation: 0,
    sharpness: 0,
    dark: 0,
    bright: 0,
    centroidX: 0,
    centroidY: 0,
  }

  function load(row: number): boolean {
    const size = height * width * channels
    const start = row * size
    if (source.width !== size || source.data.length < start + size) return false
    const scale = source.pixelScale / channels
    const { data } = source
    if (channels === 1) {
      for (let pixel = 0; pixel < size; pixel++) pixels[pixel] = (data[start + pixel] as number) * scale
      return true
    }
    for (let pixel = 0, at = start; pixel < pixels.length; pixel++) {
      let sum = 0
      for (let channel = 0; channel < channels; channel++) sum += data[at++] as number
      pixels[pixel] = sum * scale
    }
    return true
  }

  function tones(): void {
    let sum = 0
    let squares = 0
    let dark = 0
    let bright = 0
    let momentX = 0
    let momentY = 0
    for (let y = 0, at = 0; y < height; y++) {
      let line = 0
      for (let x = 0; x < width; x++) {
        const value = pixels[at++] as number
        line += value
        squares += value * value
        momentX += value * x
        if (value < DARK) dark++
        else if (value > BRIGHT) bright++
      }
      sum += line
      momentY += line * y
    }
    const count = pixels.length
    found.mean = sum / count
    // Rounding can leave a tiny negative variance; Math.max would also turn NaN into NaN, which is wanted.
    found.deviation = Math.sqrt(Math.max(0, squares / count - found.mean ** 2))
    found.dark = dark / count
    found.bright = bright / count
    found.centroidX = fromMiddle(momentX, sum, width)
    found.centroidY = fromMiddle(momentY, sum, height)
  }

  function sharpness(): number {
    if (height < 3 || width < 3) return 0
    let total = 0
    for (let y = 1; y < height - 1; y++) {
      const line = y * width
      let left = pixels[line] as number
      let here = pixels[line + 1] as number
      for (let at = line + 1; at < line + width - 1; at++) {
        const right = pixels[at + 1] as number
        const around = left + right + (pixels[at - width] as number) + (pixels[at + width] as number)
        total += Math.abs(4 * here - around)
        left = here
        here = right
      }
    }
    return total / ((height - 2) * (width - 2))
  }

  return {
    read(row) {
      if (load(row)) {
        tones()
        found.sharpness = sharpness()
        if (!Number.isFinite(found.mean)) fillMissing(found)
      } else fillMissing(found)
      return found
    },
  }
}

/** Of a blank image the middle. */
function fromMiddle(moment: number, sum: number, size: number): number {
  if (size === 1 || sum === 0) return 0
  return moment / sum / (size - 1) - 0.5
}

function fillMissing(found: Record<ImageStatistic, number>): void {
  for (const name in found) found[name as ImageStatistic] = Number.NaN
}
