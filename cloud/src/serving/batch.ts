import type { InferContext, Session, Tensors } from '@tideway/core'
import type { Closed } from './waiting.js'

export interface BatchOptions {
  /** Rows of one run at most; a request of more runs alone. */
  readonly maxRows: number
  /**
   * How long the first of those that wait may wait for others behind a run, in milliseconds. A request that finds the model
   * idle never waits.
   */
  readonly maxDelayMs: number
  /** Rows that wait at most, over all requests; one more is refused. */
  readonly maxQueuedRows: number
  /** Runs at once. */
  readonly parallel: number
  /** Whether rows may go together where the signature allows it; see `answersRowsAlone`. */
  readonly together: boolean
}

export const DEFAULT_BATCHING: BatchOptions = {
  maxRows: 32,
  maxDelayMs: 0,
  maxQueuedRows: 4096,
  parallel: 1,
  together: true,
}

export interface Batch {
  readonly closed: Closed
  readonly rows: number
  readonly requests: number
}

export interface BatchedRun {
  readonly outputs: Tensors
  /** From the request to the run that it was in, and that run. */
  readonly queueMs: number
  readonly runMs: number
  readonly rows: number
  /** Of all requests in the run. */
  readonly batchRows: number
  /** Whether the run is to be counted with this request: with the first one in it. */
  readonly leads: boolean
  /** The same object for all requests of the run; undefined where there was none. */
  readonly run?: Batch
  /** What the cache made of it, where there is one, and how long that took. */
  readonly cache?: { readonly result: 'hit' | 'miss' | 'bypass'; readonly ms: number }
}

/** What runs requests: a batcher, or one behind something that may answer in its place. */
export interface RowRunner {
  readonly signature: Session['signature']
  /** Rows of several requests that go into one run at most; undefined where each has its own. */
  readonly maxBatchRows?: number | undefined
  /** Throws as `Batcher.run` does. */
  run(inputs: Tensors, context?: InferContext): Promise<BatchedRun>
  dispose(): Promise<void>
}
