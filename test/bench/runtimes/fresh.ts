import { ask } from '../../support/ask.js'
import type { BenchCheck, BenchRow } from '../result.js'
import type { FreshFigures, FreshTask } from './fresh-child.js'
import { type Part, quantile } from './part.js'
import type { Side } from './subjects.js'

const CHILD = new URL('./fresh-child.js', import.meta.url)
const PROCESSES = 8
const MEGABYTE = 1e6
/**
 * The GNU C library's allocator gives a large block back to the system at once, until one was freed: from then on it keeps
 * blocks of that size. Whether it keeps 18 MB after WebAssembly's file was read depends on when the first collection comes;
 * with a fixed threshold what is resident is what is in use.
 */
const IN_USE = { MALLOC_MMAP_THRESHOLD_: '131072' }

type Measured = Readonly<Record<Side, readonly FreshFigures[]>>

/** What a process that has just begun takes until its first answer: lower quartiles, as all that disturbs it makes it longer. */
export const start: Part = async ({ runtimes, models, threads, progress }) => {
  const rows: BenchRow[] = []
  for (const runtime of runtimes)
    for (const model of models.filter(({ batch }) => batch === 1)) {
      const measured = await inProcesses({ runtime, model, threads }, {})
      const [startMs, firstMs] = (['startMs', 'firstMs'] as const).map((figure) => quantiles(measured, figure, 0.25))
      for (const side of ['ours', 'bare'] as const)
        rows.push({
          part: 'start',
          runtime,
          side,
          model: model.name,
          bytes: model.bytes,
          startMs: startMs?.[side] ?? null,
          firstMs: firstMs?.[side] ?? null,
        })
      progress(`${runtime}, ${model.name}: start ${text(startMs)} ms, first run ${text(firstMs)} ms`)
    }
  return { rows, checks: [] }
}

/** What a process has resident that has loaded one model and run it: medians, behind a full collection. */
export const memory: Part = async ({ runtimes, models, threads, progress }) => {
  const rows: BenchRow[] = []
  const checks: BenchCheck[] = []
  for (const runtime of runtimes)
    for (const model of models.filter(({ batch }) => batch === 1)) {
      const measured = await inProcesses({ runtime, model, threads }, IN_USE)
      const resident = quantiles(measured, 'residentBytes', 0.5)
      const [ours, bare] = [resident.ours / MEGABYTE, resident.bare / MEGABYTE]
      rows.push({ part: 'memory', runtime, model: model.name, oursMegabytes: ours, bareMegabytes: bare })
      progress(`${runtime}, ${model.name}: ${ours.toFixed(1)} MB, bare ${bare.toFixed(1)}`)
      checks.push({ id: `${runtime}-${model.name}-added-resident-megabytes`, value: ours - bare, atMost: 20 })
    }
  return { rows, checks }
}

/** Processes of each side in the order A B B A A B B A …, so that a machine that slows down slows both. */
async function inProcesses(task: Omit<FreshTask, 'side'>, env: Readonly<Record<string, string>>): Promise<Measured> {
  const figures: Record<Side, FreshFigures[]> = { ours: [], bare: [] }
  for (let at = 0; at < PROCESSES; at++)
    for (const side of at % 2 === 0 ? (['ours', 'bare'] as const) : (['bare', 'ours'] as const))
      figures[side].push(await ask<FreshFigures>(CHILD, { ...task, side }, { execArgv: ['--expose-gc'], env }))
  return figures
}

function quantiles(measured: Measured, figure: keyof FreshFigures, at: number): Record<Side, number> {
  const of = (side: Side): number =>
    quantile(
      measured[side].map((one) => one[figure]),
      at,
    )
  return { ours: of('ours'), bare: of('bare') }
}

const text = (pair: Record<Side, number> | undefined): string =>
  `${pair?.ours.toFixed(2) ?? ''}, bare ${pair?.bare.toFixed(2) ?? ''}`
