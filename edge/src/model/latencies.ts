/** Latencies of the last inferences, for percentiles that need no history. */
export interface Latencies {
  add(ms: number): void
  /** In milliseconds; undefined before the first. */
  quantile(q: number): number | undefined
}

export function createLatencies(capacity = 2048): Latencies {
  const ring = new Float64Array(capacity)
  let count = 0
  return {
    add(ms) {
      ring[count % capacity] = ms
      count += 1
    },
    quantile(q) {
      const sorted = ring.slice(0, Math.min(count, capacity)).sort()
      return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]
    },
  }
}
