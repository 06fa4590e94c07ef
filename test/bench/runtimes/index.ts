import type { Bench, BenchCheck, BenchRow } from '../result.js'
import { memory, start } from './fresh.js'
import { withModels } from './models.js'
import type { Part } from './part.js'
import { steady } from './steady.js'
import { RUNTIMES } from './subjects.js'

const parts: Readonly<Record<string, Part>> = { steady, start, memory }

/**
 * What our runtimes add to the packages that they stand on: latency of a run, time to load and to the first answer,
 * resident memory. `--only NAME` runs one part, `--runtime NAME` one runtime, `--model NAME` one model (`dense-int8`);
 * `--threads N` is for both sides (1).
 */
export const runtimes: Bench = async (progress, args) => {
  const value = (flag: string): string | undefined => (args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined)
  const chosen = <T>(flag: string, all: readonly T[], nameOf: (item: T) => string): readonly T[] => {
    const name = value(flag)
    const found = all.filter((item) => name === undefined || nameOf(item) === name)
    if (found.length === 0) throw new Error(`${flag} takes one of: ${all.map(nameOf).join(', ')}`)
    return found
  }
  const threads = Number(value('--threads') ?? 1)
  if (!Number.isSafeInteger(threads) || threads < 1) throw new Error('--threads takes a whole number from 1 up')
  const runs = chosen('--only', Object.entries(parts), ([name]) => name)
  const engines = chosen('--runtime', RUNTIMES, (name) => name)
  return withModels(async (all) => {
    const models = chosen('--model', all, ({ name }) => name)
    const rows: BenchRow[] = []
    const checks: BenchCheck[] = []
    for (const [, part] of runs) {
      const measured = await part({ runtimes: engines, models, threads, progress })
      rows.push(...measured.rows)
      checks.push(...measured.checks)
    }
    return { rows, checks }
  })
}
