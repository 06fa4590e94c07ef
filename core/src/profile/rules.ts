import { createImageReader, type ImageReader } from './image.js'
import { projectionSigns, signedSum } from './projection.js'
import type { Statistic } from './schema.js'
import type { Source } from './sources.js'

/** Takes one statistic from a row of the batch that its source is bound to; NaN when it cannot be had. */
export interface Rule {
  /** `sketch` for numbers, `count` for labels. */
  readonly collect: 'sketch' | 'count'
  /** Magnitudes below it count as zero. */
  readonly floor: number
  read(row: number): number
}

/** Images are read once a row for all statistics of the same source and shape. */
export type SharedImages = (source: Source, shape: readonly [number, number, number]) => ImageReader

type Rules = {
  readonly [K in Statistic['kind']]: (
    statistic: Extract<Statistic, { kind: K }>,
    source: Source,
    images: SharedImages,
  ) => Rule
}

/** Labels beyond this are counted modulo it, so that a profile stays small whatever the output. */
const MAX_LABELS = 1024
/** Centroids and projections scatter around zero; without a floor their sketches fill with tiny magnitudes. */
const NEAR_ZERO = 1e-3

/** How each kind of statistic is taken. */
export const rules: Rules = {
  feature: (statistic, source) => column(statistic, source),
  value: (statistic, source) => column(statistic, source),
  image(statistic, source, images) {
    const reader = images(source, statistic.shape)
    const floor = statistic.of.startsWith('centroid') ? NEAR_ZERO : 0
    return { collect: 'sketch', floor, read: (row) => reader.read(row)[statistic.of] }
  },
  projection(statistic, source) {
    let signs = new Float64Array(0)
    return {
      collect: 'sketch',
      floor: NEAR_ZERO,
      read(row) {
        const { data, width } = source
        if (signs.length !== width) signs = projectionSigns(statistic.seed, width)
        return width === 0 ? Number.NaN : (signedSum(signs, data, row * width) * source.pixelScale) / Math.sqrt(width)
      },
    }
  },
  confidence: (_statistic, source) => ({
    collect: 'sketch',
    floor: 0,
    read(row) {
      const best = largest(source, row)
      if (best < 0) return Number.NaN
      const value = source.data[row * source.width + best] as number
      return source.width === 1 ? Math.max(value, 1 - value) : value
    },
  }),
  class: (_statistic, source) => ({
    collect: 'count',
    floor: 0,
    read(row) {
      const best = largest(source, row)
      if (best < 0) return Number.NaN
      if (source.width > 1) return best % MAX_LABELS
      const value = source.data[row] as number
      const label = source.whole ? value : Number(value >= 0.5)
      return ((label % MAX_LABELS) + MAX_LABELS) % MAX_LABELS
    },
  }),
}

function column(
  { index, center = 0, floor = 0 }: { index: number; center?: number; floor?: number },
  source: Source,
): Rule {
  const read = (row: number) =>
    index < source.width ? (source.data[row * source.width + index] as number) - center : Number.NaN
  return { collect: 'sketch', floor, read }
}

/** Index of the largest value of a row, the first of equals; -1 when there is none or any is not a number. */
function largest({ data, width }: Source, row: number): number {
  let best = -1
  let value = Number.NEGATIVE_INFINITY
  for (let i = 0, at = row * width; i < width; i++, at++) {
    const item = data[at] as number
    if (!(item === item)) return -1
    if (item > value) {
      value = item
      best = i
    }
  }
  return best
}

/** Image readers that read each row once, however many statistics ask; `nextRow` makes them read again. */
export function shareImages(): { of: SharedImages; nextRow(): void } {
  const readers = new Map<string, ImageReader>()
  const found = new Map<ImageReader, ReturnType<ImageReader['read']>>()
  return {
    of(source, shape) {
      const key = `${source.name}/${shape.join('x')}`
      const known = readers.get(key)
      if (known) return known
      const reader = createImageReader(source, shape)
      const once: ImageReader = {
        read(row) {
          const statistics = found.get(once) ?? reader.read(row)
          found.set(once, statistics)
          return statistics
        },
      }
      readers.set(key, once)
      return once
    },
    nextRow: () => found.clear(),
  }
}
