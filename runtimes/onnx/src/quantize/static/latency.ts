import type { Runtime, Session, Tensors } from '@tideway/core'

const ROUNDS = 7
const RUNS = 15

/**
 * The median time of one run of each file, in milliseconds. The files take turns, and of each round the lower quartile
 * counts: other work on the machine only ever slows a run.
 */
export async function medians(runtime: Runtime, files: readonly Uint8Array[], inputs: Tensors): Promise<number[]> {
  const sessions: Session[] = []
  try {
    // One after the other, so that where one fails those before it are known.
    for (const file of files) sessions.push(await runtime.load(file))
    const times = sessions.map(() => [] as number[])
    for (let round = 0; round < ROUNDS; round++) {
      for (const [at, session] of sessions.entries()) {
        const own: number[] = []
        for (let run = 0; run < RUNS; run++) {
          const begin = performance.now()
          await session.run(inputs)
          own.push(performance.now() - begin)
        }
        // The first round warms up.
        if (round > 0) times[at]?.push(quantile(own, 0.25))
      }
    }
    return times.map((list) => quantile(list, 0.5))
  } finally {
    await Promise.all(sessions.map((session) => session.dispose()))
  }
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN
}
