import { Worker } from 'node:worker_threads'
import { errors } from '../errors.js'
import type { Numbers, Recipe, Source } from './assembler.js'
import type { RowsArray } from './augment/augmenter.js'
import { type PartSize, Ring, ringMemory } from './ring.js'
import type { WorkerTask } from './worker.js'

/** The built worker, from `src` and from `dist` alike: Node 20 runs no TypeScript. */
export const WORKER = new URL('../../dist/batches/worker.js', import.meta.url)

interface Hand {
  readonly thread: Worker
  readonly ring: Ring
}

/** Worker threads that make an epoch's parts in turn, from one epoch on; each has a ring of its own. */
export class Pool {
  private readonly hands: readonly Hand[]
  private failure: Error | undefined
  private wake: () => void = () => {}

  constructor(
    source: Source,
    recipe: Recipe,
    like: { readonly inputs: RowsArray; readonly targets: Numbers },
    size: PartSize,
    { workers, epoch, entry = WORKER }: { readonly workers: number; readonly epoch: number; readonly entry?: URL },
  ) {
    this.hands = Array.from({ length: workers }, (_, worker) => {
      const memory = ringMemory(like.inputs, like.targets, size)
      const task: WorkerTask = { source, recipe, memory, epoch, worker, workers }
      // The parent's flags (of a test runner, say) are not the worker's.
      const thread = new Worker(entry, { workerData: task, execArgv: [] })
      // Who forgets to close is not kept alive by threads that only wait.
      thread.unref()
      thread.on('message', () => this.wake())
      thread.on('error', (cause) => this.fail(cause instanceof Error ? cause.message : String(cause), cause))
      thread.on('exit', (code) => this.fail(`it ended with code ${code}`))
      return { thread, ring: new Ring(memory) }
    })
  }

  /** The part at a place of its epoch, once it is made; its memory is the caller's until `release` of the same place. */
  async part(place: number): Promise<{ readonly inputs: RowsArray; readonly targets: Numbers }> {
    const { ring, thread } = this.hand(place)
    for (;;) {
      const ready = ring.oldest()
      if (ready !== undefined) return ready
      if (this.failure !== undefined) throw this.failure
      const woken = new Promise<void>((resolve) => {
        this.wake = resolve
      })
      ring.ask()
      // Made between the look and the request: no message comes of it.
      if (ring.oldest() !== undefined) continue
      thread.ref()
      await woken
      thread.unref()
    }
  }

  release(place: number): void {
    this.hand(place).ring.taken()
  }

  async close(): Promise<void> {
    await Promise.all(this.hands.map(({ thread }) => thread.terminate()))
  }

  private hand(place: number): Hand {
    return this.hands[place % this.hands.length] as Hand
  }

  private fail(reason: string, cause?: unknown): void {
    this.failure ??= errors.BATCH_WORKER_FAILED({ reason }, cause)
    this.wake()
  }
}
