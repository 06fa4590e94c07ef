import { readFileSync } from 'node:fs'
import type { BenchModel } from './models.js'
import { rowsFor } from './rows.js'
import { type Load, type RuntimeName, type Side, type Subject, subjects } from './subjects.js'

/** What a process is told in its one message. */
export interface SteadyTask {
  readonly runtime: RuntimeName
  readonly model: BenchModel
  readonly threads: number
  /** Which side is loaded, and begins. */
  readonly first: Side
}

export type Pair = Readonly<Record<Side, number>>

/** What it answers: microseconds of a run and of a load, a pair for each round. */
export interface SteadyFigures {
  readonly runs: readonly Pair[]
  readonly loads: readonly Pair[]
}

const WARM_MS = 700
/** Of a block of runs; long against a clock's tick, short against what moves a machine's clock rate. */
const BLOCK_MS = 12
const RUN_ROUNDS = 40
const LOAD_ROUNDS = 40

/**
 * Both sides in one process, in blocks that take turns A B B A, since what differs from process to process (where memory
 * lies, which core) is larger than what is to be found. A round's figure for a side is the mean of its two blocks, of loads
 * the shorter one. A load is from bytes to a session, in an engine that is there already.
 */
async function measure({ runtime, model, threads, first }: SteadyTask): Promise<SteadyFigures> {
  const bytes = new Uint8Array(readFileSync(model.path))
  const order: readonly Side[] = first === 'ours' ? ['ours', 'bare'] : ['bare', 'ours']
  const loads = new Map<Side, Load>()
  const loaded = new Map<Side, Subject>()
  for (const side of order) {
    const load = await subjects[runtime][side](threads)
    loads.set(side, load)
    loaded.set(side, await load(bytes))
  }
  const rows = rowsFor(model)
  const block = async (side: Side, runs: number): Promise<number> => {
    const subject = loaded.get(side) as Subject
    const begin = performance.now()
    for (let run = 0; run < runs; run++) await subject.run(rows.next(), rows.shape)
    return ((performance.now() - begin) / runs) * 1000
  }
  const load = async (side: Side): Promise<number> => {
    const begin = performance.now()
    const subject = await (loads.get(side) as Load)(bytes)
    const milliseconds = performance.now() - begin
    await subject.dispose()
    return milliseconds * 1000
  }
  let runs = 1
  for (const side of order) {
    const until = performance.now() + WARM_MS
    let microseconds = 0
    while (performance.now() < until) microseconds = await block(side, runs)
    runs = Math.max(1, Math.round((BLOCK_MS * 1000) / microseconds))
  }
  return {
    runs: await inTurns(
      order,
      RUN_ROUNDS,
      (side) => block(side, runs),
      (one, other) => (one + other) / 2,
    ),
    loads: await inTurns(order, LOAD_ROUNDS, load, Math.min),
  }
}

async function inTurns(
  order: readonly Side[],
  rounds: number,
  measured: (side: Side) => Promise<number>,
  joined: (one: number, other: number) => number,
): Promise<Pair[]> {
  const pairs: Pair[] = []
  const [one, other] = order as readonly [Side, Side]
  for (let round = 0; round < rounds; round++) {
    const [a, b, c, d] = [await measured(one), await measured(other), await measured(other), await measured(one)]
    const pair = { [one]: joined(a, d), [other]: joined(b, c) }
    pairs.push(pair as Pair)
  }
  return pairs
}

process.once('message', (task) => {
  void measure(task as SteadyTask).then((figures) => process.send?.(figures, () => process.exit(0)))
})
