import { type EarlyStoppingConfig, resolveEarlyStopping } from '@tideway/core'
import { patience } from './patience.js'

export interface EarlyStopping {
  /** Whether training is to end after the last epoch of the history. */
  readonly stop: boolean
  /** The epoch (from 0) with the best metric, whose weights are to be kept; undefined before any made progress. */
  readonly best: number | undefined
}

/**
 * Whether training goes on, from the metrics of the epochs done (Keras's `EarlyStopping`): a pure function, so that a
 * run that is resumed ends where one that never stopped does.
 *
 * @example
 * const { stop, best } = earlyStopping({ metric: 'valLoss', patience: 3 }, history)
 */
export function earlyStopping(
  config: EarlyStoppingConfig,
  history: readonly Readonly<Record<string, number>>[],
): EarlyStopping {
  const { endedAt, best } = patience(resolveEarlyStopping(config), history)
  return { stop: endedAt !== undefined, best }
}
