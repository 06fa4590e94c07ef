import type { Session, Tensors } from '@tideway/core'
import { codeOf, inputCheck } from '@tideway/core/serving'
import { cloudErrors } from '../errors.js'
import { type Batch, type BatchedRun, type BatchOptions, DEFAULT_BATCHING, type RowRunner } from './batch.js'
import { Pace } from './pace.js'
import { RowMemory } from './row-memory.js'
import { hasFixedRows, joined, rowShapes, rowsOf, split, takesBatches } from './rows.js'
import { earliestDeadline, gather, isGone, isLate, type Patience, type Waiting, WaitingLine } from './waiting.js'

/** By how much a timer may be late, in milliseconds: so much before a deadline a run has to begin. */
const TIMER_SLACK_MS = 2
/** What Node's timers count to; longer ones would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1
const NO_LIMITS: Patience = {}

/** A run that has begun; `endsAt` as expected, on the clock of `performance.now()`. */
interface Running {
  readonly endsAt: number
}

/**
 * Puts the rows of requests that wait into one run of a model. Nothing waits where the model is idle: batches grow with the
 * load alone, out of what arrives during a run, or in the same turn of the event loop. Rows are counted, not requests.
 * Results are split exactly; what a bad request does to its batch it does to itself alone, since the others are run again
 * without it. A request whose deadline passes before its run begins, or whose client has gone, is not run; one that cannot
 * make its deadline, judging by the pace of those before it, is refused when it comes.
 *
 * @example
 * const batcher = new Batcher(session, DEFAULT_BATCHING)
 * const { outputs, rows } = await batcher.run({ x })
 */
export class Batcher implements RowRunner {
  private readonly line = new WaitingLine<BatchedRun>()
  /** A list, since a set that becomes empty gets another table each time, and the first that is old keeps all after it. */
  private readonly running: Running[] = []
  private readonly pace = new Pace()
  private readonly memory = new RowMemory()
  private readonly check: (inputs: Tensors) => void
  /** What has to be alike in requests that go together. */
  private readonly shapeOf: (inputs: Tensors) => string
  private batches: boolean
  private alarm: { readonly at: number; readonly timer: NodeJS.Timeout } | undefined
  private isDue = false
  private drained: (() => void) | undefined
  private disposal: Promise<void> | undefined

  constructor(
    private readonly session: Session,
    private readonly options: BatchOptions = DEFAULT_BATCHING,
    private readonly onBatch: (batch: Batch) => void = () => undefined,
  ) {
    this.batches = options.together && takesBatches(session.signature)
    this.check = inputCheck(session.signature)
    this.shapeOf = hasFixedRows(session.signature) ? () => '' : rowShapes
  }

  get signature(): Session['signature'] {
    return this.session.signature
  }

  get maxBatchRows(): number | undefined {
    return this.batches ? this.options.maxRows : undefined
  }

  get waiting(): { readonly requests: number; readonly rows: number } {
    return { requests: this.line.requests.length, rows: this.line.rows }
  }

  /**
   * Throws what the session throws, `SERVING_BUSY` when too many rows wait, `DEADLINE_EXCEEDED` and `CLIENT_GONE` instead of
   * running what is too late.
   */
  run(inputs: Tensors, patience: Patience = NO_LIMITS): Promise<BatchedRun> {
    return new Promise((resolve, reject) => {
      this.check(inputs)
      const together = this.batches ? rowsOf(inputs) : undefined
      const rows = together ?? 1
      const alike = together === undefined || together === 0 ? undefined : this.shapeOf(inputs)
      const since = performance.now()
      this.admit(rows, since, patience)
      const foundIdle = this.running.length === 0 && this.line.requests.length === 0
      // Written out: what begins with a spread and then gets more fields has a hidden class of its own in Node 20, which is
      // garbage of the old generation, and makes every access to it slow.
      this.line.push({ inputs, rows, alike, since, foundIdle, patience, resolve, reject })
      this.soon()
    })
  }

  /** Ends what waits and what runs, then frees the session. */
  dispose(): Promise<void> {
    this.disposal ??= new Promise<void>((resolve) => {
      this.drained = resolve
      this.tellDrained()
    }).then(() => this.session.dispose())
    return this.disposal
  }

  /** Throws where a request is not to wait. */
  private admit(rows: number, now: number, patience: Patience): void {
    if (isGone(patience, now)) throw refusal(patience, 0)
    const { maxQueuedRows } = this.options
    if (this.line.rows + rows > maxQueuedRows) this.dropGone(now)
    if (this.line.rows > 0 && this.line.rows + rows > maxQueuedRows) {
      const retryAfterMs = Math.ceil(Math.max(1, this.waitMs(rows, now)))
      throw cloudErrors.SERVING_BUSY({ queuedRows: this.line.rows, retryAfterMs })
    }
    if (patience.deadlineMs === undefined) return
    const waitMs = this.waitMs(rows, now)
    if (isLate(patience, now + waitMs)) throw refusal(patience, 0, waitMs)
  }

  /** How long one of so many rows that comes now is expected to wait for its run: for the runs before it that are full. */
  private waitMs(rows: number, now: number): number {
    const { parallel } = this.options
    const maxRows = this.batches ? this.options.maxRows : 1
    const slot = this.running.length < parallel ? now : Math.min(...this.running.map(({ endsAt }) => endsAt))
    const [full, rest] = [Math.floor(this.line.rows / maxRows), this.line.rows % maxRows]
    const apartMs = rest > 0 && rest + rows > maxRows ? this.pace.of(rest) : 0
    return Math.max(0, slot - now) + (full * this.pace.of(maxRows) + apartMs) / parallel
  }

  /**
   * When what has arrived by now is read: requests that come in one turn of the event loop go together, and with them those
   * of the next turns for as long as each brings more. A request that comes alone waits for none.
   */
  private soon(): void {
    if (this.isDue) return
    this.isDue = true
    let seen = this.line.requests.length
    const look = () => {
      const { requests, rows } = this.line
      const { maxRows, parallel } = this.options
      // Those without rows must not be waited for without end.
      const fits = rows < maxRows && requests.length < maxRows
      const mayGrow = this.batches && fits && this.running.length < parallel
      if (mayGrow && requests.length > seen) {
        seen = requests.length
        setImmediate(look)
        return
      }
      this.isDue = false
      this.next()
    }
    setImmediate(look)
  }

  /** Starts as many runs as may be started. */
  private next(): void {
    this.dropGone(performance.now())
    let holdUntil = Number.POSITIVE_INFINITY
    while (this.running.length < this.options.parallel && this.line.requests.length > 0) {
      const { count, rows, closed } = gather(this.line.requests, this.options.maxRows)
      const until = closed === 'free' ? this.holdUntil(count, rows) : undefined
      if (until !== undefined && until > performance.now()) {
        holdUntil = until
        break
      }
      const taken = this.line.shift(count)
      const batch: Batch = { closed: until === undefined ? closed : 'delay', rows, requests: count }
      this.onBatch(batch)
      void this.start(taken, batch)
    }
    this.wakeAt(Math.min(holdUntil, earliestDeadline(this.line.requests) ?? Number.POSITIVE_INFINITY))
    this.tellDrained()
  }

  /** Until when the first so many may wait for others: not past the deadline of one of them. Undefined where they do not wait. */
  private holdUntil(count: number, rows: number): number | undefined {
    const { maxDelayMs } = this.options
    const waiting = this.line.requests.slice(0, count)
    const [first] = waiting
    if (first === undefined || first.foundIdle || maxDelayMs === 0) return undefined
    const deadline = earliestDeadline(waiting) ?? Number.POSITIVE_INFINITY
    return Math.min(first.since + maxDelayMs, deadline - this.pace.of(rows) - TIMER_SLACK_MS)
  }

  private wakeAt(at: number): void {
    if (this.alarm?.at === at) return
    clearTimeout(this.alarm?.timer)
    this.alarm = undefined
    if (at === Number.POSITIVE_INFINITY) return
    const wake = () => {
      this.alarm = undefined
      this.next()
    }
    this.alarm = { at, timer: setTimeout(wake, Math.min(MAX_TIMER_MS, Math.max(0, at - performance.now()))) }
  }

  private dropGone(now: number): void {
    for (const { patience, since, reject } of this.line.dropGone(now)) reject(refusal(patience, now - since))
  }

  private tellDrained(): void {
    if (this.running.length === 0 && this.line.requests.length === 0) this.drained?.()
  }

  private async start(taken: readonly Waiting<BatchedRun>[], batch: Batch): Promise<void> {
    const { rows } = batch
    const started = performance.now()
    const run = { endsAt: started + this.pace.of(rows) }
    this.running.push(run)
    try {
      const lent: ArrayBuffer[] = []
      const requests = taken.map(({ inputs }) => inputs)
      const outputs = await this.session.run(joined(requests, (bytes) => this.memory.take(bytes, lent)))
      this.memory.giveBack(lent, outputs)
      const runMs = performance.now() - started
      this.pace.observe(rows, runMs)
      const parts = splitFor(taken, outputs)
      if (parts === undefined) {
        this.batches = false
        await this.apart(taken)
      } else
        for (let at = 0; at < taken.length; at++) {
          const { resolve, since, rows: own } = taken[at] as Waiting<BatchedRun>
          const [outputs, queueMs] = [parts[at] as Tensors, started - since]
          resolve({
            outputs,
            queueMs,
            runMs,
            rows: own,
            batchRows: rows,
            leads: at === 0,
            run: batch,
            cache: undefined,
          })
        }
    } catch (error) {
      if (taken.length === 1 || codeOf(error) !== 'RUN_FAILED') for (const { reject } of taken) reject(error)
      else await this.apart(taken)
    } finally {
      this.running.splice(this.running.indexOf(run), 1)
      this.soon()
      this.tellDrained()
    }
  }

  /** Runs each alone: what made their batch fail is one request's, and who it is shows. Who has gone is not run again. */
  private async apart(taken: readonly Waiting<BatchedRun>[]): Promise<void> {
    for (const { inputs, since, patience, resolve, reject, rows } of taken) {
      const started = performance.now()
      try {
        if (patience.signal?.aborted) throw refusal(patience, started - since)
        const outputs = await this.session.run(inputs)
        const runMs = performance.now() - started
        const run = { closed: 'alone', rows, requests: 1 } as const
        const queueMs = started - since
        resolve({ outputs, queueMs, runMs, rows, batchRows: rows, leads: true, run, cache: undefined })
      } catch (error) {
        reject(error)
      }
    }
  }
}

/** The outputs of each; undefined where they cannot be told apart. */
function splitFor(taken: readonly Waiting<BatchedRun>[], outputs: Tensors): readonly Tensors[] | undefined {
  if (taken.length === 1) return [outputs]
  return split(
    outputs,
    taken.map(({ rows }) => rows),
  )
}

/** Why a request is not run: it has waited so long, and would have to wait so long still. */
function refusal({ signal }: Patience, waitedMs: number, expectedMs?: number): Error {
  if (signal?.aborted) return cloudErrors.CLIENT_GONE({})
  return cloudErrors.DEADLINE_EXCEEDED({
    waitedMs: Math.round(waitedMs),
    ...(expectedMs !== undefined && { expectedMs: Math.round(expectedMs) }),
  })
}
