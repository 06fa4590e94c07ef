import { codeOf, inputCheck, type Session, type Tensors } from '@tideway/core'
import { cloudErrors } from '../errors.js'
import { joined, rowShapes, rowsOf, split, takesBatches } from './rows.js'

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

/**
 * Why a batch was closed: nothing else waited (`free`), no more rows fit (`full`), the first had waited long enough
 * (`delay`), what came next has rows of another shape (`shape`), or the model takes no batches (`alone`).
 */
export type Closed = 'free' | 'full' | 'delay' | 'shape' | 'alone'

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
}

interface Waiting {
  readonly inputs: Tensors
  readonly rows: number
  /** Those alike may go together; undefined goes with none. */
  readonly alike: string | undefined
  readonly since: number
  /** Nothing ran and nothing waited when it came. */
  readonly foundIdle: boolean
  readonly resolve: (run: BatchedRun) => void
  readonly reject: (error: unknown) => void
}

/**
 * Puts the rows of requests that wait into one run of a model. Nothing waits where the model is idle: batches grow with the
 * load alone, out of what arrives during a run, or in the same turn of the event loop. Rows are counted, not requests.
 * Results are split exactly; what a bad request does to its batch it does to itself alone, since the others are run again
 * without it.
 *
 * @example
 * const batcher = new Batcher(session, DEFAULT_BATCHING)
 * const { outputs, rows } = await batcher.run({ x })
 */
export class Batcher {
  private readonly queue: Waiting[] = []
  private readonly check: (inputs: Tensors) => void
  private queuedRows = 0
  private running = 0
  private batches: boolean
  private timer: NodeJS.Timeout | undefined
  private isDue = false
  private drained: (() => void) | undefined
  private disposal: Promise<void> | undefined
  /** Of the last runs, in milliseconds a row: for how long a refused client is to wait. */
  private pace = 0

  constructor(
    private readonly session: Session,
    private readonly options: BatchOptions = DEFAULT_BATCHING,
    private readonly onBatch: (batch: Batch) => void = () => undefined,
  ) {
    this.batches = options.together && takesBatches(session.signature)
    this.check = inputCheck(session.signature)
  }

  get signature(): Session['signature'] {
    return this.session.signature
  }

  /** Throws what the session throws, and `SERVING_BUSY` when too many rows wait. */
  async run(inputs: Tensors): Promise<BatchedRun> {
    this.check(inputs)
    const rows = this.batches ? rowsOf(inputs) : undefined
    const alike = rows === undefined || rows === 0 ? undefined : rowShapes(inputs)
    const size = rows ?? 1
    if (this.queuedRows > 0 && this.queuedRows + size > this.options.maxQueuedRows) throw this.busy()
    return new Promise((resolve, reject) => {
      const foundIdle = this.running === 0 && this.queue.length === 0
      this.queue.push({ inputs, rows: size, alike, since: performance.now(), foundIdle, resolve, reject })
      this.queuedRows += size
      this.soon()
    })
  }

  /** Ends what waits and what runs, then frees the session. */
  dispose(): Promise<void> {
    const isDone = this.queue.length === 0 && this.running === 0
    this.disposal ??= new Promise<void>((resolve) => {
      this.drained = resolve
      if (isDone) resolve()
    }).then(() => this.session.dispose())
    return this.disposal
  }

  private busy(): Error {
    const retryAfterMs = Math.ceil(Math.max(1, this.queuedRows * this.pace))
    return cloudErrors.SERVING_BUSY({ queuedRows: this.queuedRows, retryAfterMs })
  }

  /** When what has arrived by now is read: requests that come in one turn of the event loop go together. */
  private soon(): void {
    if (this.isDue) return
    this.isDue = true
    setImmediate(() => {
      this.isDue = false
      this.next()
    })
  }

  /** Starts as many runs as may be started. */
  private next(): void {
    while (this.running < this.options.parallel && this.queue.length > 0) {
      const { taken, closed } = this.gather()
      const first = taken[0] as Waiting
      const waits = this.options.maxDelayMs - (performance.now() - first.since)
      const mayGrow = closed === 'free' && !first.foundIdle && this.options.maxDelayMs > 0
      if (mayGrow && waits > 0) {
        this.timer ??= setTimeout(() => {
          this.timer = undefined
          this.next()
        }, waits)
        return
      }
      clearTimeout(this.timer)
      this.timer = undefined
      this.queue.splice(0, taken.length)
      const rows = taken.reduce((sum, request) => sum + request.rows, 0)
      this.queuedRows -= rows
      this.onBatch({ closed: mayGrow ? 'delay' : closed, rows, requests: taken.length })
      void this.start(taken, rows)
    }
  }

  /** What goes into the next run, from the front of the queue. */
  private gather(): { readonly taken: readonly Waiting[]; readonly closed: Closed } {
    const [first, ...others] = this.queue as [Waiting, ...Waiting[]]
    if (first.alike === undefined) return { taken: [first], closed: 'alone' }
    const taken = [first]
    let { rows } = first
    for (const request of others) {
      if (rows + request.rows > this.options.maxRows) return { taken, closed: 'full' }
      if (request.alike !== first.alike) return { taken, closed: 'shape' }
      taken.push(request)
      rows += request.rows
    }
    return { taken, closed: rows >= this.options.maxRows ? 'full' : 'free' }
  }

  private async start(taken: readonly Waiting[], rows: number): Promise<void> {
    this.running += 1
    const started = performance.now()
    try {
      const outputs = await this.session.run(joined(taken.map(({ inputs }) => inputs)))
      const runMs = performance.now() - started
      this.pace = this.pace === 0 ? runMs / rows : 0.9 * this.pace + (0.1 * runMs) / rows
      const parts =
        taken.length === 1
          ? [outputs]
          : split(
              outputs,
              taken.map((request) => request.rows),
            )
      if (parts === undefined) this.batches = false
      for (const [at, { resolve, since, rows: own }] of taken.entries()) {
        const outputs = parts?.[at]
        if (outputs === undefined) break
        resolve({ outputs, queueMs: started - since, runMs, rows: own, batchRows: rows, leads: at === 0 })
      }
      if (parts === undefined) await this.apart(taken)
    } catch (error) {
      if (taken.length === 1 || codeOf(error) !== 'RUN_FAILED') for (const { reject } of taken) reject(error)
      else await this.apart(taken)
    } finally {
      this.running -= 1
      this.soon()
      if (this.running === 0 && this.queue.length === 0) this.drained?.()
    }
  }

  /** Runs each alone: what made their batch fail is one request's, and who it is shows. */
  private async apart(taken: readonly Waiting[]): Promise<void> {
    for (const { inputs, since, resolve, reject, rows } of taken) {
      const started = performance.now()
      try {
        const outputs = await this.session.run(inputs)
        const runMs = performance.now() - started
        resolve({ outputs, queueMs: started - since, runMs, rows, batchRows: rows, leads: true })
      } catch (error) {
        reject(error)
      }
    }
  }
}
