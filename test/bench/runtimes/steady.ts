import { ask } from '../../support/ask.js'
import type { BenchCheck, BenchRow } from '../result.js'
import { median, type Part, percent, quantile } from './part.js'
import type { Pair, SteadyFigures, SteadyTask } from './steady-child.js'
import type { Side } from './subjects.js'

const CHILD = new URL('./steady-child.js', import.meta.url)
/** An even number, so that each side is loaded first as often as the other. */
const PROCESSES = 4

/**
 * How long a run takes once code is compiled and caches are warm, and a load of a model once the engine is there. What is
 * added is the median over processes.
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
        const measured = compared(
          figure,
          processes.map((one) => one[figure]),
        )
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

/**
 * Of runs the median over rounds of a round's ratio; of loads, a few of which take many times as long as the others (a
 * thread that is woken late, a collection), the ratio of lower quartiles.
 */
function compared(figure: 'runs' | 'loads', processes: readonly (readonly Pair[])[]) {
  const at = figure === 'runs' ? 0.5 : 0.25
  const of = (pairs: readonly Pair[], side: Side): number =>
    quantile(
      pairs.map((pair) => pair[side]),
      at,
    )
  const added = processes.map((pairs) =>
    figure === 'runs'
      ? median(pairs.map(({ ours, bare }) => ours / bare)) - 1
      : of(pairs, 'ours') / of(pairs, 'bare') - 1,
  )
  return {
    oursMicroseconds: of(processes.flat(), 'ours'),
    bareMicroseconds: of(processes.flat(), 'bare'),
    added: median(added),
    addedLeast: quantile(added, 0),
    addedMost: quantile(added, 1),
  }
}
