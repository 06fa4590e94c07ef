import type { BenchCheck, BenchRow } from '../result.js'
import { ask } from './ask.js'
import { median, type Part, percent, quantile } from './part.js'
import type { Pair, SteadyFigures, SteadyTask } from './steady-child.js'

const CHILD = new URL('./steady-child.js', import.meta.url)
/** An even number, so that each side is loaded first as often as the other. */
const PROCESSES = 4

/**
 * How long a run takes once code is compiled and caches are warm, and a load of a model once the engine is there: the
 * median over processes of the median over rounds.
 */
export const steady: Part = async ({ runtimes, models, threads, progress }) => {
  const rows: BenchRow[] = []
  const checks: BenchCheck[] = []
  for (const runtime of runtimes)
    for (const model of models) {
      const processes: SteadyFigures[] = []
      for (let at = 0; at < PROCESSES; at++) {
        const task: SteadyTask = { runtime, model, threads, first: at % 2 === 0 ? 'ours' : 'bare' }
        processes.push(await ask<SteadyFigures>(CHILD, task))
      }
      for (const figure of ['runs', 'loads'] as const) {
        const measured = compared(processes.map((one) => one[figure]))
        const what = figure === 'runs' ? 'latency' : 'load'
        rows.push({ part: 'steady', what, runtime, model: model.name, batch: model.batch, ...measured })
        const { oursMicroseconds, bareMicroseconds, added } = measured
        progress(
          `${runtime}, ${model.name}, ${what}: ${oursMicroseconds.toFixed(1)} µs, bare ${bareMicroseconds.toFixed(1)}, added ${percent(added)}`,
        )
        checks.push({ id: `${runtime}-${model.name}-added-${what}`, value: added, atMost: 0.1, aim: 0.03 })
      }
    }
  return { rows, checks }
}

function compared(processes: readonly (readonly Pair[])[]) {
  const added = processes.map((pairs) => median(pairs.map(({ ours, bare }) => ours / bare)) - 1)
  const all = processes.flat()
  return {
    oursMicroseconds: median(all.map(({ ours }) => ours)),
    bareMicroseconds: median(all.map(({ bare }) => bare)),
    added: median(added),
    addedLeast: quantile(added, 0),
    addedMost: quantile(added, 1),
  }
}
