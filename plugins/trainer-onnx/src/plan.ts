import type { StepPart } from './graphs/training.js'

/** One run of a session: batches in a row, each a whole step, or one batch that is a part of a step. */
export interface PlannedRun extends StepPart {
  /** The first row, in the epoch's order. */
  readonly begin: number
  /** Whole steps in it. */
  readonly steps: number
}

export interface PlanOptions {
  readonly batchSize: number
  /** Batches to a step. */
  readonly accumulate: number
  /** Whole steps to a run, where there are as many. */
  readonly together: number
}

/** An epoch as runs: several steps each, then single ones, then what is left of the rows. */
export function* planEpoch(total: number, { batchSize, accumulate, together }: PlanOptions): Generator<PlannedRun> {
  let begin = 0
  if (accumulate === 1) {
    for (const steps of together === 1 ? [1] : [together, 1])
      for (; begin + steps * batchSize <= total; begin += steps * batchSize)
        yield { rows: batchSize, steps, begin, before: 0, last: true }
    if (begin < total) yield { rows: total - begin, steps: 1, begin, before: 0, last: true }
    return
  }
  for (let before = 0; begin < total; before = (before + 1) % accumulate) {
    const rows = Math.min(batchSize, total - begin)
    // The epoch's last step takes the batches that are left.
    const last = before === accumulate - 1 || begin + rows === total
    yield { rows, steps: 1, begin, before, last }
    begin += rows
  }
}

/** Steps that an epoch has. */
export const stepsOf = (
  rows: number,
  { batchSize, accumulate }: Pick<PlanOptions, 'batchSize' | 'accumulate'>,
): number => Math.ceil(Math.ceil(rows / batchSize) / accumulate)
