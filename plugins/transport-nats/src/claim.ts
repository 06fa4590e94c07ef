import { Worker } from 'node:worker_threads'
import type { Logger } from '@tideway/core'
import type { NatsAddress } from './connection.js'

/** Whom a keeper works for, and when it last did; of the memory that both threads see. */
export interface ClaimTask {
  readonly address: NatsAddress
  readonly everyMs: number
  /** An event loop that stands still for longer is taken for dead: its claim is renewed no more. */
  readonly maxBlockedMs: number
  /** [claim renewed at, event loop alive at], ms since 1970. */
  readonly clock: BigInt64Array
}

/** Renews the claim on one job at a time. */
export interface ClaimKeeper {
  /** Holds the claim of the message with this reply subject from now on; of none where it is not known. */
  hold(reply: string | undefined): void
  release(): void
  /** That the event loop runs. */
  alive(): void
  /** When the claim was last renewed; 0 where the keeper could not. */
  renewedAt(): number
  close(): Promise<void>
}

/** The built worker, from `src` and from `dist` alike: Node 20 runs no TypeScript. */
const WORKER = new URL('../dist/claim-worker.js', import.meta.url)
const [RENEWED, ALIVE] = [0, 1]

/**
 * Starts a thread with a connection of its own that renews claims: a training step may hold the event loop for longer
 * than a claim lasts, on a machine that is busy with other things. Resolves once it is connected, or has failed: then
 * the claim is as good as the event loop.
 */
export async function startClaimKeeper(task: Omit<ClaimTask, 'clock'>, logger: Logger): Promise<ClaimKeeper> {
  const clock = new BigInt64Array(new SharedArrayBuffer(16))
  const store = (place: number, time: number) => void Atomics.store(clock, place, BigInt(time))
  const failed = (error: unknown): undefined => {
    logger.warn('claims on jobs are renewed between steps only', { error: String(error) })
    store(RENEWED, 0)
  }
  const thread = await startThread({ ...task, clock }, failed)
  return {
    hold(reply) {
      store(ALIVE, Date.now())
      store(RENEWED, 0)
      thread?.postMessage({ reply })
    },
    release: () => thread?.postMessage({}),
    alive: () => store(ALIVE, Date.now()),
    renewedAt: () => Number(Atomics.load(clock, RENEWED)),
    close: async () => void (await thread?.terminate()),
  }
}

async function startThread(task: ClaimTask, failed: (error: unknown) => undefined): Promise<Worker | undefined> {
  let thread: Worker
  try {
    // The parent's flags (of a test runner, say) are not the worker's.
    thread = new Worker(WORKER, { workerData: task, execArgv: [] })
  } catch (error) {
    // Options with functions in them, of TLS, cannot be given to a thread.
    return failed(error)
  }
  thread.unref()
  await new Promise<void>((resolve) => {
    thread.once('message', () => resolve())
    thread.once('exit', () => resolve())
    thread.on('error', failed)
  })
  return thread
}
