import type { Consumer, JsMsg } from '@nats-io/jetstream'
import {
  backoffMs,
  type CloudLink,
  errors as coreErrors,
  deviceOf,
  type Envelope,
  type Logger,
  limits,
  readReport,
} from '@tideway/core'
import type { Following } from './follow.js'
import { pullForever } from './pull.js'

export type ReportHandler = Parameters<CloudLink['consumeReports']>[0]
export type AckedDevice = Awaited<ReturnType<ReportHandler>>[number]

export interface ReportConsumerOptions {
  readonly following: Following
  readonly consumer: () => Promise<Consumer>
  readonly handler: ReportHandler
  /** Called with what the handler resolved to, after JetStream was told. */
  readonly acknowledge: (acks: readonly AckedDevice[]) => void
  readonly onReceived: () => void
  /** A report that was dropped or given up, with the coded error. */
  readonly onDropped: (error: unknown, subject: string) => void
  readonly ackWaitMs: number
  readonly maxDeliveries: number
  readonly logger: Logger
}

interface Held {
  readonly message: JsMsg
  readonly envelope: Envelope
}

/** Most reports held in memory, in the handler's hands and waiting for it. */
const MAX_HELD = 4 * limits.maxReportsPerRequest
/** A report that came back this often is given alone, so that one bad report cannot spoil a batch for ever. */
const DELIVERIES_TOGETHER = 3

/**
 * Takes reports from the shared consumer and gives them to the handler in batches: whatever arrived while it was busy
 * with the one before. Resolves to a function that stops it and resolves when the handler does not run any more; what
 * it held goes back to the queue.
 */
export function consumeReportStream(options: ReportConsumerOptions): () => Promise<void> {
  const { logger, onDropped } = options
  const stopping = new AbortController()
  const queue: Held[] = []
  let inHand: readonly Held[] = []
  let changed = (): void => undefined
  const change = () =>
    new Promise<void>((resolve) => {
      changed = resolve
    })
  let spaceFreed = (): void => undefined

  function take(message: JsMsg): void {
    try {
      const source = deviceOf(message.subject)
      if (!source) throw coreErrors.INPUT_REJECTED({ what: 'report', issues: ['subject: names no device'] })
      const held = { message, envelope: readReport(message.data, source) }
      if (message.info.deliveryCount > options.maxDeliveries) return giveUp(held)
      if (!message.redelivered) options.onReceived()
      queue.push(held)
      changed()
    } catch (error) {
      // It would be as malformed the next time: off the queue.
      message.term()
      onDropped(error, message.subject)
    }
  }

  function giveUp({ message, envelope: { fleet, device } }: Held): void {
    message.term()
    const { deliveryCount: deliveries } = message.info
    onDropped(coreErrors.REPORT_DEAD_LETTERED({ fleet, device, deliveries }), message.subject)
  }

  async function room(): Promise<number> {
    while (!stopping.signal.aborted && queue.length + inHand.length >= MAX_HELD)
      await new Promise<void>((resolve) => {
        spaceFreed = resolve
      })
    return Math.min(limits.maxReportsPerRequest, MAX_HELD - queue.length - inHand.length)
  }

  function next(): Held[] {
    const repeated = (held: Held) => held.message.info.deliveryCount > DELIVERIES_TOGETHER
    if (repeated(queue[0]!)) return queue.splice(0, 1)
    const firstRepeated = queue.findIndex(repeated)
    return queue.splice(0, Math.min(firstRepeated === -1 ? queue.length : firstRepeated, limits.maxReportsPerRequest))
  }

  async function give(batch: readonly Held[]): Promise<void> {
    try {
      const acks = await options.handler(
        batch.map((held) => held.envelope),
        new Date().toISOString(),
      )
      for (const { message } of batch) message.ack()
      options.acknowledge(acks)
    } catch (error) {
      logger.warn('reports were not accepted', { reports: batch.length, error: String(error) })
      for (const held of batch) {
        const { deliveryCount } = held.message.info
        if (deliveryCount >= options.maxDeliveries) giveUp(held)
        else held.message.nak(backoffMs(deliveryCount - 1, options.ackWaitMs))
      }
    }
  }

  async function work(): Promise<void> {
    while (!stopping.signal.aborted) {
      if (queue.length === 0) {
        await change()
        continue
      }
      inHand = next()
      await give(inHand)
      inHand = []
      spaceFreed()
    }
    for (const { message } of queue.splice(0)) message.nak()
  }

  // What is held is not to be delivered to another process while the handler takes its time.
  const heartbeat = setInterval(() => {
    for (const { message } of [...inHand, ...queue]) message.working()
  }, options.ackWaitMs / 3)
  const pulling = pullForever({
    following: options.following,
    consumer: options.consumer,
    room,
    onMessage: take,
    signal: stopping.signal,
    logger,
  })
  const working = work()
  return async () => {
    stopping.abort()
    spaceFreed()
    await pulling
    changed()
    await working
    clearInterval(heartbeat)
  }
}
