import { type AffineScale, affineScale, type IntegerRange } from '../reference.js'
import { type Histogram, SIDE_BINS } from './histogram.js'

/** A way to choose the range of values that integers stand for. */
export type RangeMethod = 'minmax' | 'percentile' | 'entropy' | 'mse'

export interface ValueRange {
  readonly min: number
  readonly max: number
}

/** Shares of the full range that are tried: 1, 0.98, … down to a fifth. */
const SHRINKS = Array.from({ length: 41 }, (_, i) => 1 - i / 50)

/** What `percentile` cuts off, in all. */
const OUTSIDE = 1e-4

/** The range of a tensor by each method; every one lies inside what was seen. */
export const RANGES: Readonly<Record<RangeMethod, (seen: Histogram, range: IntegerRange) => ValueRange>> = {
  minmax: ({ min, max }) => (max >= min ? { min, max } : { min: 0, max: 0 }),
  percentile: (seen) => clipped(seen, OUTSIDE),
  entropy: (seen, range) => leastOver(seen, (candidate) => divergence(seen, candidate, range)),
  mse: (seen, range) =>
    leastOver(seen, (candidate) => squaredError(seen, affineScale(candidate.min, candidate.max, range), range)),
}

/**
 * The expected squared error of quantizing the values seen. Inside the range, rounding costs scale² / 12 on average;
 * outside, the squared distance to the edge. Not divided by the number of values.
 */
export function squaredError(seen: Histogram, { scale, zeroPoint }: AffineScale, range: IntegerRange): number {
  const low = (range.min - zeroPoint) * scale
  const high = (range.max - zeroPoint) * scale
  const rounding = scale ** 2 / 12
  let error = 0
  const { bins } = seen
  for (let bin = 0; bin < bins.length; bin++) {
    const count = bins[bin] ?? 0
    if (count === 0) continue
    const value = seen.valueAt(bin)
    error += count * (value < low ? (low - value) ** 2 : value > high ? (value - high) ** 2 : rounding)
  }
  return error
}

/** Ties go to the wider range. */
function leastOver(seen: Histogram, cost: (candidate: ValueRange) => number): ValueRange {
  const whole = RANGES.minmax(seen, { min: 0, max: 1 })
  let best = whole
  let least = Number.POSITIVE_INFINITY
  for (const share of SHRINKS) {
    const candidate = { min: whole.min * share, max: whole.max * share }
    const error = cost(candidate)
    if (error < least) [best, least] = [candidate, error]
  }
  return best
}

/** What is left when the given share of all values, half at each end, is cut off; zero is never cut off. */
function clipped(seen: Histogram, outside: number): ValueRange {
  const { min, max } = RANGES.minmax(seen, { min: 0, max: 1 })
  const total = seen.zeros + seen.bins.reduce((sum, count) => sum + count, 0)
  const most = (total * outside) / 2
  let low = 0
  for (let gone = 0; low < SIDE_BINS; low++) {
    gone += seen.bins[low] ?? 0
    if (gone > most) break
  }
  let high = seen.bins.length - 1
  for (let gone = 0; high >= SIDE_BINS; high--) {
    gone += seen.bins[high] ?? 0
    if (gone > most) break
  }
  return {
    min: Math.max(min, Math.min(0, (low - SIDE_BINS) * seen.width)),
    max: Math.min(max, Math.max(0, (high - SIDE_BINS + 1) * seen.width)),
  }
}

/**
 * How much the distribution of the values seen differs from that of their integers: Kullback-Leibler, after "8-bit
 * Inference with TensorRT" (Migacz 2017, GTC S7310): what lies outside counts to the outermost bin of the reference, and
 * each integer's count is spread evenly over the bins that it stands for and that were not empty.
 */
function divergence(seen: Histogram, { min, max }: ValueRange, range: IntegerRange): number {
  const first = Math.max(0, Math.floor(Math.min(0, min) / seen.width) + SIDE_BINS)
  const last = Math.min(seen.bins.length, Math.ceil(Math.max(0, max) / seen.width) + SIDE_BINS)
  const levels = range.max - range.min + 1
  const size = last - first
  if (size <= levels) return 0
  const inside = seen.bins.subarray(first, last)
  const reference = inside.slice()
  for (let bin = 0; bin < first; bin++) reference[0] = (reference[0] ?? 0) + (seen.bins[bin] ?? 0)
  for (let bin = last; bin < seen.bins.length; bin++)
    reference[size - 1] = (reference[size - 1] ?? 0) + (seen.bins[bin] ?? 0)
  const all = reference.reduce((sum, count) => sum + count, 0)
  const kept = inside.reduce((sum, count) => sum + count, 0)
  if (all === 0 || kept === 0) return 0
  let sum = 0
  for (let level = 0; level < levels; level++) {
    const from = Math.floor((level * size) / levels)
    const to = Math.floor(((level + 1) * size) / levels)
    let mass = 0
    let filled = 0
    for (let bin = from; bin < to; bin++) {
      mass += inside[bin] ?? 0
      if ((reference[bin] ?? 0) > 0) filled++
    }
    // A bin that only cut-off values fill: an integer that never came up has to stand for it.
    const q = Math.max(mass, 1e-3) / kept / Math.max(1, filled)
    for (let bin = from; bin < to; bin++) {
      const p = (reference[bin] ?? 0) / all
      if (p > 0) sum += p * Math.log(p / q)
    }
  }
  return sum
}
