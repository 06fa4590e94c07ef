import { type Ack, backoffMs, errors as coreErrors, type Envelope, type Logger, limits, sleep } from '@tideway/core'

export type AckedDevice = { readonly fleet: string; readonly device: string; readonly ack: Ack }
export type ReportHandler = (batch: readonly Envelope[], receivedAt: string) => Promise<readonly AckedDevice[]>

export interface IntakeOptions {
  readonly handler: ReportHandler
  /** Sends acknowledgements; only ever called with what the handler resolved to. */
  readonly acknowledge: (acks: readonly AckedDevice[]) => void
  /** A report that was given up; its device has no acknowledgement and sends it again. */
  readonly giveUp: (error: Error) => void
  readonly maxQueuedBytes: number
  /** Attempts for a report before it is given up. */
  readonly maxDeliveries: number
  readonly maxBackoffMs: number
  readonly logger: Logger
}

export interface Intake {
  /** Queues a report; waits while the queue is full, which holds back the connection that it came by. */
  offer(envelope: Envelope, bytes: number): Promise<void>
  /** Stops; resolves when the handler does not run any more. What is queued was not acknowledged and comes again. */
  stop(): Promise<void>
}

interface Queued {
  readonly envelope: Envelope
  readonly bytes: number
  readonly receivedAt: string
  deliveries: number
}

/** A batch that failed this often is tried one by one, so that one bad report cannot hold back the others. */
const DELIVERIES_TOGETHER = 3

/**
 * Gives reports to the handler in batches: whatever arrived while it was busy with the one before. A batch that the
 * handler rejects is given again, with growing waits.
 */
export function createIntake(options: IntakeOptions): Intake {
  const queue: Queued[] = []
  const stopping = new AbortController()
  let queuedBytes = 0
  let wakeWorker: (() => void) | undefined
  let spaceWaiters: (() => void)[] = []

  function next(): Queued[] {
    const alone = (queue[0]?.deliveries ?? 0) >= DELIVERIES_TOGETHER
    return queue.slice(0, alone ? 1 : limits.maxReportsPerRequest)
  }

  function remove(batch: readonly Queued[]): void {
    queue.splice(0, batch.length)
    queuedBytes -= batch.reduce((sum, item) => sum + item.bytes, 0)
    const waiters = spaceWaiters
    spaceWaiters = []
    for (const wake of waiters) wake()
  }

  async function attempt(batch: readonly Queued[]): Promise<boolean> {
    const envelopes = batch.map((item) => item.envelope)
    try {
      options.acknowledge(await options.handler(envelopes, batch[0]!.receivedAt))
      return true
    } catch (error) {
      for (const item of batch) item.deliveries += 1
      options.logger.warn('reports were not accepted', { reports: batch.length, error: String(error) })
      const [first] = batch
      if (batch.length > 1 || first!.deliveries < options.maxDeliveries) return false
      const { fleet, device } = first!.envelope
      options.giveUp(coreErrors.REPORT_DEAD_LETTERED({ fleet, device, deliveries: first!.deliveries }, error))
      return true
    }
  }

  async function run(): Promise<void> {
    let failures = 0
    while (!stopping.signal.aborted) {
      if (queue.length === 0) {
        await new Promise<void>((resolve) => {
          wakeWorker = resolve
        })
        continue
      }
      const batch = next()
      if (await attempt(batch)) {
        remove(batch)
        failures = 0
      } else {
        // One that fails alone goes behind the others; there is no order among reports to keep.
        if (batch.length === 1) queue.push(...queue.splice(0, 1))
        await sleep(backoffMs(failures, options.maxBackoffMs), stopping.signal)
        failures += 1
      }
    }
  }
  const done = run()

  return {
    async offer(envelope, bytes) {
      while (queuedBytes >= options.maxQueuedBytes && !stopping.signal.aborted)
        await new Promise<void>((resolve) => spaceWaiters.push(resolve))
      if (stopping.signal.aborted) return
      queue.push({ envelope, bytes, receivedAt: new Date().toISOString(), deliveries: 0 })
      queuedBytes += bytes
      wakeWorker?.()
    },
    async stop() {
      stopping.abort()
      wakeWorker?.()
      for (const wake of spaceWaiters) wake()
      await done
    },
  }
}
