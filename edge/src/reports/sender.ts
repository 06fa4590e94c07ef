import { codeOf, type EdgeLink, type Envelope, type Logger } from '@tideway/core'
import { backoffMs } from '../backoff.js'
import type { EdgeLimits } from '../options.js'
import type { OutboxFiles } from './outbox-files.js'

/** One report that is not yet acknowledged. */
export interface Pending {
  readonly boot: string
  readonly seq: number
  kind: string
  bytes: number
  /** When it was last handed to the link; undefined: to be sent. */
  sentAt: number | undefined
  /** Only of a report that is not on disk. */
  envelope: Envelope | undefined
}

/** Hands pending reports to the link in order, a limited number at a time, and again when no acknowledgement comes. */
export interface Sender {
  pump(): void
  /** An acknowledgement came: the way is open. */
  progressed(): void
  resend(): void
  /** Resolves when nothing more can be sent now. */
  sent(): Promise<void>
  close(): Promise<void>
}

export interface SenderParts {
  readonly link: EdgeLink
  readonly files: OutboxFiles
  readonly limits: EdgeLimits
  readonly logger: Logger
}

/** `pending` stays the caller's list: what is removed from it is not sent any more. */
export function createSender(pending: readonly Pending[], parts: SenderParts): Sender {
  const { link, files, limits, logger } = parts
  let pumping: Promise<void> | undefined
  let again = false
  let fruitless = 0
  let timer: NodeJS.Timeout | undefined
  let closed = false

  const nextToSend = (): Pending | undefined => {
    const next = pending.findIndex(({ sentAt }) => sentAt === undefined)
    const unacked = pending.reduce((count, { sentAt }) => count + (sentAt === undefined ? 0 : 1), 0)
    return unacked >= limits.maxUnackedReports ? undefined : pending[next]
  }

  const send = async (report: Pending): Promise<void> => {
    const envelope = report.envelope ?? (await files.read(report.boot, report.seq))
    // Acknowledged and removed while it was read.
    if (envelope === undefined) {
      report.sentAt = Date.now()
      return
    }
    await link.sendReport({ ...envelope, sentAt: new Date().toISOString() })
    report.sentAt = Date.now()
  }

  const run = async (): Promise<void> => {
    do {
      again = false
      for (let next = nextToSend(); next !== undefined && !closed; next = nextToSend()) {
        try {
          await send(next)
        } catch (error) {
          logger.debug('a report could not be sent', { code: codeOf(error), seq: next.seq })
          break
        }
      }
    } while (again && !closed)
    plan()
  }

  /** One timer for all: when nothing was acknowledged for long enough, everything is sent again. */
  const plan = (): void => {
    if (closed || timer !== undefined || pending.length === 0) return
    const delay = backoffMs(fruitless + 1, limits.ackTimeoutMs, Math.max(limits.retryMaxMs, limits.ackTimeoutMs))
    timer = setTimeout(() => {
      timer = undefined
      fruitless += 1
      sender.resend()
    }, delay)
  }

  const sender: Sender = {
    pump() {
      if (closed) return
      if (pumping !== undefined) {
        again = true
        return
      }
      pumping = run().finally(() => {
        pumping = undefined
      })
    },
    progressed() {
      fruitless = 0
      clearTimeout(timer)
      timer = undefined
      sender.pump()
    },
    resend() {
      for (const report of pending) report.sentAt = undefined
      sender.pump()
    },
    async sent() {
      while (pumping !== undefined) await pumping
    },
    async close() {
      closed = true
      clearTimeout(timer)
      await pumping
    },
  }
  return sender
}
