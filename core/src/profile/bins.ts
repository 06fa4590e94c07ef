import { errors } from '../errors.js'

/**
 * The bins of a DDSketch (Masson, Rim, Lee: "DDSketch", VLDB 2019), ordered by the values that they hold. This is the
 * form in which sketches are merged, compared and sent.
 *
 * `at` numbers a bin: 0 holds the zeros, `ORIGIN + key` the positive values in (gamma^(key-1), gamma^key], and
 * `-(ORIGIN + key)` their mirror images, so that ascending `at` is ascending value. At `level` L gamma is
 * ((1 + accuracy) / (1 - accuracy))^(2^L): each level joins neighbouring bins in pairs (the uniform collapse of
 * UDDSketch, Epicoco et al., IEEE Access 2020), which keeps merges exact and independent of their order.
 */
export interface Bins {
  /** Relative accuracy at level 0. */
  readonly accuracy: number
  readonly level: number
  /** Strictly ascending. */
  readonly at: Int32Array
  /** Positive whole numbers, one for each bin. */
  readonly counts: Float64Array
}

/** Larger than any key at the finest accuracy allowed (0.001: 355,000 for the whole range of float64). */
const ORIGIN = 2 ** 20

/** At accuracy 0.01 a bin of this level spans 35 decades. */
export const MAX_LEVEL = 12

/** The number of a bin by its sign and the mapping's key. */
export function binAt(sign: -1 | 1, key: number): number {
  return sign * (ORIGIN + key)
}

/** The sign and key of a bin; sign 0 for the zeros. */
export function keyOf(at: number): { sign: -1 | 0 | 1; key: number } {
  if (at === 0) return { sign: 0, key: 0 }
  return { sign: at < 0 ? -1 : 1, key: Math.abs(at) - ORIGIN }
}

/** No values. */
export function emptyBins(accuracy: number): Bins {
  return { accuracy, level: 0, at: new Int32Array(0), counts: new Float64Array(0) }
}

/** How many values the bins hold. */
export function totalOf(bins: Bins): number {
  return bins.counts.reduce((total, count) => total + count, 0)
}

/** The same values at a coarser level; a finer one than theirs cannot be had and leaves them as they are. */
export function coarsen(bins: Bins, level: number): Bins {
  if (level <= bins.level) return bins
  const width = 2 ** (level - bins.level)
  const at = new Int32Array(bins.at.length)
  const counts = new Float64Array(at.length)
  let size = 0
  for (let i = 0; i < bins.at.length; i++) {
    const { sign, key } = keyOf(bins.at[i] as number)
    const coarse = sign === 0 ? 0 : binAt(sign, Math.ceil(key / width))
    if (size === 0 || at[size - 1] !== coarse) at[size++] = coarse
    counts[size - 1] = (counts[size - 1] as number) + (bins.counts[i] as number)
  }
  return { accuracy: bins.accuracy, level, at: at.slice(0, size), counts: counts.slice(0, size) }
}

/** All values of both, at the coarser of their levels. Throws `PROFILE_MISMATCH` when their accuracies differ. */
export function mergeBins(a: Bins, b: Bins): Bins {
  const { first, second, level } = alike(a, b)
  const at = new Int32Array(first.at.length + second.at.length)
  const counts = new Float64Array(at.length)
  let size = 0
  walkBins(first, second, (bin, one, other) => {
    at[size] = bin
    counts[size++] = one + other
  })
  return { accuracy: a.accuracy, level, at: at.slice(0, size), counts: counts.slice(0, size) }
}

/**
 * Visits every bin that either holds, by ascending value, with both counts. Throws `PROFILE_MISMATCH`
 * when their accuracies differ; bins of different levels are brought to the coarser one.
 */
export function compareBins(a: Bins, b: Bins, visit: (countA: number, countB: number) => void): void {
  const { first, second } = alike(a, b)
  walkBins(first, second, (_bin, one, other) => visit(one, other))
}

function alike(a: Bins, b: Bins): { first: Bins; second: Bins; level: number } {
  if (a.accuracy !== b.accuracy)
    throw errors.PROFILE_MISMATCH({ what: 'relative accuracy', first: String(a.accuracy), second: String(b.accuracy) })
  const level = Math.max(a.level, b.level)
  return { first: coarsen(a, level), second: coarsen(b, level), level }
}

function walkBins(a: Bins, b: Bins, visit: (bin: number, countA: number, countB: number) => void): void {
  for (let i = 0, j = 0; i < a.at.length || j < b.at.length; ) {
    const one = a.at[i] ?? Number.POSITIVE_INFINITY
    const other = b.at[j] ?? Number.POSITIVE_INFINITY
    const bin = Math.min(one, other)
    visit(bin, one === bin ? (a.counts[i++] as number) : 0, other === bin ? (b.counts[j++] as number) : 0)
  }
}
