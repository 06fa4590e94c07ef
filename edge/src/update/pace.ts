import type { EdgeLimits } from '../options.js'

/** A chunk should take about this long: shorter, and another may be in flight; much longer, and one less. */
const GROW_BELOW_MS = 1_000
const SHRINK_ABOVE_MS = 4_000
/** Weight of the newest measurement. */
const WEIGHT = 0.3
/** A time-out is this many times what the measured rate predicts. */
const PATIENCE = 4
const FIRST_TIMEOUT_MS = 60_000
const MAX_TIMEOUT_MS = 600_000

/** How many chunks may be in flight and how long one may take, from what was measured on this link. */
export interface Pace {
  readonly window: number
  /** In whole milliseconds. */
  timeoutMs(bytes: number, attempt: number): number
  arrived(bytes: number, elapsedMs: number): void
  timedOut(): void
}

/**
 * One chunk in flight at first: on a link of 20 kB/s, four at a time would all run into their time-outs and arrive
 * never, while one at a time arrives.
 */
export function createPace(limits: Pick<EdgeLimits, 'maxConcurrentChunks' | 'minChunkTimeoutMs'>): Pace {
  let window = 1
  /** Of one chunk among `window`, in bytes per ms. */
  let rate: number | undefined
  return {
    get window() {
      return window
    },
    timeoutMs(bytes, attempt) {
      const predicted = rate === undefined ? FIRST_TIMEOUT_MS : (PATIENCE * bytes) / rate
      // Whole, as `AbortSignal.timeout` takes no other.
      return Math.ceil(Math.min(MAX_TIMEOUT_MS, Math.max(limits.minChunkTimeoutMs, predicted) * 2 ** (attempt - 1)))
    },
    arrived(bytes, elapsedMs) {
      const measured = bytes / Math.max(elapsedMs, 0.01)
      rate = rate === undefined ? measured : rate * (1 - WEIGHT) + measured * WEIGHT
      if (elapsedMs < GROW_BELOW_MS) window = Math.min(limits.maxConcurrentChunks, window + 1)
      else if (elapsedMs > SHRINK_ABOVE_MS) window = Math.max(1, window - 1)
    },
    timedOut() {
      window = Math.max(1, window >> 1)
      if (rate !== undefined) rate /= 2
    },
  }
}
