import type { Geometry } from '../geometry.js'
import { strides } from '../geometry.js'

/** Where a pixel comes from: x' = a x + b y + c, y' = d x + e y + f, in pixels. */
export type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number]

export type FillMode = 'constant' | 'nearest' | 'reflect' | 'wrap'

/** What lies beyond the border. */
export interface Border {
  readonly mode: FillMode
  /** Of `constant`. */
  readonly value: number
}

export const IDENTITY: Affine = [1, 0, 0, 0, 1, 0]

/** The map of an image that was moved by `first` and then by `second`: a pixel goes through the later one first. */
export function compose(first: Affine, second: Affine): Affine {
  const [a, b, c, d, e, f] = first
  const [g, h, i, j, k, l] = second
  return [a * g + b * j, a * h + b * k, a * i + b * l + c, d * g + e * j, d * h + e * k, d * i + e * l + f]
}

export const translation = (x: number, y: number): Affine => [1, 0, -x, 0, 1, -y]

/** A map by [[a, b], [d, e]] that leaves the image's centre where it is. */
export function aboutCentre({ height, width }: Geometry, a: number, b: number, d: number, e: number): Affine {
  const [x, y] = [(width - 1) / 2, (height - 1) / 2]
  return [a, b, x - a * x - b * y, d, e, y - d * x - e * y]
}

/** The window of so many pixels from (left, top), stretched to the whole image; pixels are areas, as in Keras's resizing. */
export function windowed({ height, width }: Geometry, left: number, top: number, wide: number, high: number): Affine {
  const [x, y] = [wide / width, high / height]
  return [x, 0, left + x / 2 - 0.5, 0, y, top + y / 2 - 0.5]
}

/** The pixel that stands for one beyond the border; -1 for the constant. */
const BEYOND: Readonly<Record<FillMode, (at: number, size: number) => number>> = {
  constant: () => -1,
  nearest: (at, size) => (at < 0 ? 0 : size - 1),
  reflect: (at, size) => {
    const place = modulo(at, 2 * size)
    return place < size ? place : 2 * size - 1 - place
  },
  wrap: modulo,
}

function modulo(at: number, size: number): number {
  return ((at % size) + size) % size
}

/** Takes each pixel of a row from where the map says, between pixels by bilinear interpolation. */
export function resample(from: Float32Array, to: Float32Array, geometry: Geometry, map: Affine, border: Border): void {
  const { height, width, channels } = geometry
  const { pixel, channel } = strides(geometry)
  const flat = border.mode === 'constant'
  const beyond = BEYOND[border.mode]
  const [a, b, c, d, e, f] = map
  const inside = (at: number, size: number): number => (at >= 0 && at < size ? at : beyond(at, size))
  const value = (x: number, y: number, plane: number): number =>
    x < 0 || y < 0 ? border.value : (from[(y * width + x) * pixel + plane] as number)
  const planes = channels * channel
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const sourceX = a * x + b * y + c
      const sourceY = d * x + e * y + f
      const left = Math.floor(sourceX)
      const top = Math.floor(sourceY)
      const right = sourceX - left
      const down = sourceY - top
      const at = (y * width + x) * pixel
      if (left >= 0 && top >= 0 && left < width - 1 && top < height - 1) {
        const first = (top * width + left) * pixel
        const below = first + width * pixel
        for (let plane = 0; plane < planes; plane += channel) {
          const p = first + plane
          const q = below + plane
          const upper = (from[p] as number) * (1 - right) + (from[p + pixel] as number) * right
          const lower = (from[q] as number) * (1 - right) + (from[q + pixel] as number) * right
          to[at + plane] = upper * (1 - down) + lower * down
        }
      } else if (flat && (left < -1 || top < -1 || left >= width || top >= height)) {
        for (let plane = 0; plane < planes; plane += channel) to[at + plane] = border.value
      } else {
        const x0 = inside(left, width)
        const x1 = inside(left + 1, width)
        const y0 = inside(top, height)
        const y1 = inside(top + 1, height)
        for (let plane = 0; plane < planes; plane += channel) {
          const upper = value(x0, y0, plane) * (1 - right) + value(x1, y0, plane) * right
          const lower = value(x0, y1, plane) * (1 - right) + value(x1, y1, plane) * right
          to[at + plane] = upper * (1 - down) + lower * down
        }
      }
    }
  }
}
