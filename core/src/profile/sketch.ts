import { DDSketch } from '@datadog/sketches-js'
import { type Bins, binAt, keyOf, totalOf } from './bins.js'

/**
 * Collects numbers into a DDSketch. The library's sketch takes the values; merging and encoding are ours (`bins.ts`),
 * because its `merge` (2.1.1) leaves out negative values and loses counts where the largest value has key 0 (1.0).
 */
export interface Sketch {
  /** Finite values only. */
  add(value: number): void
  bins(): Bins
}

/** Values of a smaller magnitude than `floor` count as zero. */
export function createSketch(accuracy: number, floor = 0): Sketch {
  const sketch = new DDSketch({ relativeAccuracy: accuracy })
  return {
    add: (value) => sketch.accept(value < floor && value > -floor ? 0 : value),
    bins() {
      const at: number[] = []
      const counts: number[] = []
      const push = (bin: number, count: number | undefined) => {
        if (!count) return
        at.push(bin)
        counts.push(count)
      }
      const { store, negativeStore } = sketch
      for (let i = negativeStore.bins.length - 1; i >= 0; i--)
        push(binAt(-1, i + negativeStore.offset), negativeStore.bins[i])
      push(0, sketch.zeroCount)
      for (let i = 0; i < store.bins.length; i++) push(binAt(1, i + store.offset), store.bins[i])
      return { accuracy, level: 0, at: Int32Array.from(at), counts: Float64Array.from(counts) }
    },
  }
}

/**
 * The value at a quantile from 0 to 1, within the bins' relative accuracy; NaN when they are empty. The lower of two
 * middle values is taken, as DDSketch does.
 */
export function quantileOf(bins: Bins, quantile: number): number {
  const rank = quantile * (totalOf(bins) - 1)
  let seen = 0
  for (const [i, at] of bins.at.entries()) {
    seen += bins.counts[i] as number
    if (seen > rank) return valueOf(bins, at)
  }
  return Number.NaN
}

function valueOf(bins: Bins, at: number): number {
  const { sign, key } = keyOf(at)
  if (sign === 0) return 0
  const gamma = ((1 + bins.accuracy) / (1 - bins.accuracy)) ** (2 ** bins.level)
  // The point of (gamma^(key-1), gamma^key] whose relative distance to both ends is the same.
  return (sign * 2 * gamma ** key) / (1 + gamma)
}
