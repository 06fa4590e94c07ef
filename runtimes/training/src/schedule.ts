import { type ResolvedSchedule, resolveSchedule, type ScheduleConfig } from '@tideway/core'
import { patience } from './patience.js'

/** Where a run is. */
export interface ScheduleAt {
  /** The step that the rate is for, counted from 1. */
  readonly step: number
  /** Steps of the whole run. */
  readonly steps: number
  /** Epochs done before this step's. */
  readonly epoch: number
  readonly epochs: number
  /** The metrics of each epoch done. */
  readonly metricHistory: readonly Readonly<Record<string, number>>[]
}

type Rule<T extends ResolvedSchedule['type']> = (
  config: Extract<ResolvedSchedule, { readonly type: T }>,
  at: ScheduleAt,
) => number

/** Half a cosine from one value to another; `share` of the way, 0 to 1. */
const halfCosine = (from: number, to: number, share: number): number =>
  to + ((from - to) * (1 + Math.cos(Math.PI * Math.min(1, share)))) / 2

const rules: { readonly [T in ResolvedSchedule['type']]: Rule<T> } = {
  constant: ({ initial }) => initial,
  step: ({ initial, every, factor }, { epoch }) => initial * factor ** Math.floor(epoch / every),
  // Keras's CosineDecay with `initial_learning_rate` = warmupFrom · maximum, `warmup_target` = maximum and
  // `decay_steps` = the steps after the warm-up; it counts steps from 0.
  cosine: ({ maximum, warmupSteps, warmupShare = 0, warmupFrom, final }, { step, steps }) => {
    const warmup = warmupSteps ?? Math.round(warmupShare * steps)
    const done = step - 1
    if (done < warmup) return maximum * (warmupFrom + (1 - warmupFrom) * (done / warmup))
    return halfCosine(maximum, maximum * final, (done - warmup) / Math.max(1, steps - warmup))
  },
  // PyTorch's OneCycleLR: the last step of the rise has the maximum, the last step of all the least.
  oneCycle: ({ maximum, warmupShare, initialDivisor, finalDivisor }, { step, steps }) => {
    const initial = maximum / initialDivisor
    const done = step - 1
    const peak = Math.max(0, warmupShare * steps - 1)
    if (done < peak) return halfCosine(initial, maximum, done / peak)
    const fall = steps - 1 - peak
    return fall <= 0 ? maximum : halfCosine(maximum, initial / finalDivisor, (done - peak) / fall)
  },
  reduceOnPlateau: ({ initial, factor, minimum, ...plateau }, { metricHistory }) => {
    const { reached } = patience(plateau, metricHistory)
    // A minimum above the initial rate does not raise it. Multiplied one by one, as Keras does: the same bits.
    let rate = initial
    for (let times = 0; times < reached && rate > minimum; times++) rate = Math.max(rate * factor, minimum)
    return rate
  },
}

/**
 * The learning rate of each step by a schedule: a pure function of where the run is, so that a run that is resumed has
 * the rates of one that never stopped. `cosine` and `oneCycle` depend on the steps of the whole run: a run that goes on
 * for longer than first asked has other rates from there on.
 *
 * @example
 * const rate = learningRateOf({ type: 'step', initial: 0.1, every: 10 })
 * rate({ step: 1, steps: 400, epoch: 0, epochs: 40, metricHistory: [] }) // 0.1
 */
export function learningRateOf(config: number | ScheduleConfig): (at: ScheduleAt) => number {
  const resolved = resolveSchedule(config)
  const rule = rules[resolved.type] as (config: ResolvedSchedule, at: ScheduleAt) => number
  return (at) => rule(resolved, at)
}
