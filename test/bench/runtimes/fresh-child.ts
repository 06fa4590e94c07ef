import { readFileSync } from 'node:fs'
import type { BenchModel } from './models.js'
import { rowsFor } from './rows.js'
import { type RuntimeName, type Side, subjects } from './subjects.js'

/** What a process is told in its one message. */
export interface FreshTask {
  readonly runtime: RuntimeName
  readonly side: Side
  readonly model: BenchModel
  readonly threads: number
}

export interface FreshFigures {
  /** From nothing imported to a session. */
  readonly startMs: number
  /** The first run. */
  readonly firstMs: number
  /** Resident when one model was loaded and run, behind a full collection. */
  readonly residentBytes: number
}

const RUNS = 200

/** One side and nothing else in a process that has just begun. */
async function measure({ runtime, side, model, threads }: FreshTask): Promise<FreshFigures> {
  const bytes = new Uint8Array(readFileSync(model.path))
  const rows = rowsFor(model)
  const begin = performance.now()
  const load = await subjects[runtime][side](threads)
  const subject = await load(bytes)
  const started = performance.now()
  await subject.run(rows.next(), rows.shape)
  const ran = performance.now()
  for (let run = 0; run < RUNS; run++) await subject.run(rows.next(), rows.shape)
  // Twice: what finalizers let go of is collected by the next one.
  for (let times = 0; times < 2; times++) {
    globalThis.gc?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const residentBytes = process.memoryUsage.rss()
  return { startMs: started - begin, firstMs: ran - started, residentBytes }
}

process.once('message', (task) => {
  void measure(task as FreshTask).then((figures) => process.send?.(figures, () => process.exit(0)))
})
