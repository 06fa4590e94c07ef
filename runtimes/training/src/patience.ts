/** When epochs count as without progress: Keras's words. */
export interface PatienceOptions {
  readonly metric: string
  /** Epochs without progress that are waited; 0 waits for one, as Keras does. */
  readonly patience: number
  readonly minDelta: number
  /** Epochs after each time that patience ended in which none are counted. */
  readonly cooldown?: number
}

export interface PatienceResult {
  /** How often patience ended. */
  readonly reached: number
  /** The epoch (from 0) in which it ended first. */
  readonly endedAt: number | undefined
  /** The last epoch (from 0) that made progress; undefined before any did. */
  readonly best: number | undefined
}

/**
 * Follows a metric over the epochs done. An epoch makes progress when its metric is better than the best so far by more
 * than `minDelta`; accuracies are to rise, everything else is to fall (Keras's mode "auto"). NaN is no progress, and
 * neither is an epoch that lacks the metric.
 */
export function patience(
  { metric, patience: limit, minDelta, cooldown = 0 }: PatienceOptions,
  history: readonly Readonly<Record<string, number>>[],
): PatienceResult {
  const sign = /acc/i.test(metric) ? -1 : 1
  let least = Number.POSITIVE_INFINITY
  let best: number | undefined
  let endedAt: number | undefined
  let [waited, cooling, reached] = [0, 0, 0]
  for (const [epoch, metrics] of history.entries()) {
    const value = sign * (metrics[metric] ?? Number.NaN)
    if (cooling > 0) {
      cooling -= 1
      waited = 0
    }
    if (value < least - minDelta) {
      least = value
      best = epoch
      waited = 0
    } else if (cooling === 0) {
      waited += 1
      if (waited >= limit) {
        reached += 1
        endedAt ??= epoch
        cooling = cooldown
        waited = 0
      }
    }
  }
  return { reached, endedAt, best }
}
