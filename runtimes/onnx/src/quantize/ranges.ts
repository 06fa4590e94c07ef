import { type AffineScale, affineScale, type IntegerRange } from './reference.js'

/** Finer than the 255 steps of the result by a factor of 16, so that a bin's middle stands for its values. */
const BINS = 4096

/** Shares of the full range that are tried: 1, 0.99, … 0.5. */
const SHRINKS = Array.from({ length: 51 }, (_, i) => 1 - i / 100)

/**
 * What calibration sees of one tensor, in two passes over the same rows: `see` finds least and greatest value, `count`
 * then fills a histogram between them. Neither depends on the order or the batching of the rows.
 */
export class RangeObserver {
  min = Number.POSITIVE_INFINITY
  max = Number.NEGATIVE_INFINITY
  /** Values that are NaN or infinite. */
  bad = 0
  /** Dimensions of the tensor; undefined until seen. */
  rank: number | undefined
  private readonly bins = new Float64Array(BINS)

  see(values: Float32Array, rank: number): void {
    this.rank = rank
    for (const value of values) {
      if (!Number.isFinite(value)) this.bad++
      if (value < this.min) this.min = value
      if (value > this.max) this.max = value
    }
  }

  count(values: Float32Array): void {
    const width = this.width
    if (!(width > 0)) return
    for (const value of values) {
      // Zero is exact at every scale: it must not weigh in the choice.
      if (value === 0) continue
      const bin = Math.min(BINS - 1, Math.floor((value - this.min) / width))
      this.bins[bin] = (this.bins[bin] ?? 0) + 1
    }
  }

  /**
   * The scale with the least expected squared error over the values seen: a narrower range makes every step finer but
   * cuts off values outside it. Inside, rounding costs scale² / 12 on average; outside, the squared distance to the edge.
   */
  scale(range: IntegerRange): AffineScale {
    if (!(this.max >= this.min)) return affineScale(0, 0, range)
    let best = affineScale(this.min, this.max, range)
    let least = this.error(best, range)
    for (const share of SHRINKS.slice(1)) {
      const candidate = affineScale(this.min * share, this.max * share, range)
      const error = this.error(candidate, range)
      if (error < least) [best, least] = [candidate, error]
    }
    return best
  }

  private get width(): number {
    return this.max / BINS - this.min / BINS
  }

  private error({ scale, zeroPoint }: AffineScale, range: IntegerRange): number {
    const low = (range.min - zeroPoint) * scale
    const high = (range.max - zeroPoint) * scale
    const rounding = scale ** 2 / 12
    let error = 0
    for (let bin = 0; bin < BINS; bin++) {
      const count = this.bins[bin] ?? 0
      if (count === 0) continue
      const value = this.min + (bin + 0.5) * this.width
      error += count * (value < low ? (low - value) ** 2 : value > high ? (value - high) ** 2 : rounding)
    }
    return error
  }
}
