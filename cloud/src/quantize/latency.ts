import { availableParallelism, cpus } from 'node:os'
import type { Runtime, Session, Tensors } from '@tideway/core'

/** The first two warm up. */
const ROUNDS = 17
const WARM_UP = 2
const MAX_RUNS = 25

/** Of one run of one row (or of as many as the model takes at once), in milliseconds. */
export interface Latency {
  readonly p50: number
  readonly p90: number
  readonly runs: number
  /** Times the first file's: the median over rounds of the medians in each, which shared load moves least. */
  readonly ratio: number
}

/**
 * How long one run of each file takes here. The files take turns, so that what else the machine does is shared; each
 * has about `budgetMs` milliseconds, and fifteen runs in any case.
 */
export async function latenciesOf(
  runtime: Runtime,
  files: readonly Uint8Array[],
  inputs: Tensors,
  budgetMs = 600,
): Promise<readonly Latency[]> {
  const sessions: Session[] = []
  try {
    for (const file of files) sessions.push(await runtime.load(file))
    const times = sessions.map(() => [] as number[])
    const medians = sessions.map(() => [] as number[])
    const runs = sessions.map(() => 1)
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [at, session] of sessions.entries()) {
        const count = runs[at] ?? 1
        const begin = performance.now()
        const own: number[] = []
        for (let run = 0; run < count; run += 1) {
          const start = performance.now()
          await session.run(inputs)
          own.push(performance.now() - start)
        }
        if (round >= WARM_UP) {
          times[at]?.push(...own)
          medians[at]?.push(quantile(own, 0.5))
        }
        const each = (performance.now() - begin) / count
        runs[at] = Math.max(1, Math.min(MAX_RUNS, Math.floor(budgetMs / ROUNDS / Math.max(each, 1e-3))))
      }
    }
    return times.map((list, at) => ({
      p50: quantile(list, 0.5),
      p90: quantile(list, 0.9),
      runs: list.length,
      ratio: quantile(
        (medians[at] ?? []).map((median, round) => median / (medians[0]?.[round] ?? Number.NaN)),
        0.5,
      ),
    }))
  } finally {
    await Promise.all(sessions.map((session) => session.dispose()))
  }
}

/** The processor that figures are of, as its maker calls it. */
export function machine(): string {
  const model = cpus()[0]?.model.trim()
  return `${model === undefined || model === '' ? process.arch : model}, ${availableParallelism()} threads, ${process.platform}`
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN
}
