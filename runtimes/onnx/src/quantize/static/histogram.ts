/** Bins on each side of zero: at least 16 for each of the 127 steps that half a range of integers has. */
export const SIDE_BINS = 4096

/** The finest bin, far below what eight bits of anything tell apart; its products with counts stay normal doubles. */
const MIN_WIDTH = 2 ** -80

/**
 * The values of one tensor in one pass and in bounded memory: a histogram around zero whose bins double in width, by
 * merging neighbours, whenever a value lies outside. Widths are powers of two, so that the result depends neither on
 * order nor on batching, and two histograms can be added.
 */
export class Histogram {
  min = Number.POSITIVE_INFINITY
  max = Number.NEGATIVE_INFINITY
  /** Values that are NaN or infinite; they are in no bin. */
  bad = 0
  /** Zeros are exact at every scale and in no bin. */
  zeros = 0
  width = MIN_WIDTH
  /** Counts from the most negative bin to the most positive one; zero lies between the two middle ones. */
  bins = new Float64Array(2 * SIDE_BINS)

  see(values: Float32Array): void {
    let { min, max } = this
    let bad = 0
    for (const value of values) {
      if (value < min) min = value
      if (value > max) max = value
      // NaN and both infinities: their difference from themselves is no zero.
      if (value - value !== 0) bad++
    }
    this.bad += bad
    if (bad > 0) {
      const finite = values.filter(Number.isFinite)
      if (finite.length > 0) this.see(finite)
      return
    }
    if (values.length === 0) return
    this.min = min
    this.max = max
    this.widenFor(Math.max(-min, max))
    const { bins } = this
    const perUnit = 1 / this.width
    let zeros = 0
    for (const value of values) {
      if (value === 0) zeros++
      else {
        const at = SIDE_BINS + Math.floor(value * perUnit)
        bins[at] = (bins[at] ?? 0) + 1
      }
    }
    this.zeros += zeros
  }

  /** Takes in what another histogram saw. */
  merge(other: Histogram): void {
    this.min = Math.min(this.min, other.min)
    this.max = Math.max(this.max, other.max)
    this.bad += other.bad
    this.zeros += other.zeros
    while (this.width < other.width) this.double()
    const ratio = this.width / other.width
    for (const [at, count] of other.bins.entries()) {
      if (count === 0) continue
      const to = SIDE_BINS + Math.floor((at - SIDE_BINS) / ratio)
      this.bins[to] = (this.bins[to] ?? 0) + count
    }
  }

  /** The middle of a bin. */
  valueAt(bin: number): number {
    return (bin - SIDE_BINS + 0.5) * this.width
  }

  private widenFor(peak: number): void {
    // A value at the very end of the negative side still has a bin; on the positive side it would have none.
    if (peak < this.width * SIDE_BINS) return
    if (this.bins.every((count) => count === 0)) {
      this.width = Math.max(MIN_WIDTH, 2 ** Math.ceil(Math.log2(peak / SIDE_BINS)))
      if (peak >= this.width * SIDE_BINS) this.width *= 2
      return
    }
    while (peak >= this.width * SIDE_BINS) this.double()
  }

  private double(): void {
    const { bins } = this
    const wider = new Float64Array(bins.length)
    const half = SIDE_BINS / 2
    for (let at = 0; at < SIDE_BINS; at++) wider[half + at] = (bins[2 * at] ?? 0) + (bins[2 * at + 1] ?? 0)
    this.bins = wider
    this.width *= 2
  }
}
