import { type Ack, codeOf, type EdgeLink, type Envelope, type Logger, limits as wire } from '@tideway/core'
import { errors } from '../errors.js'
import type { EdgeLimits } from '../options.js'
import { createSerial } from '../serial.js'
import type { OutboxFiles } from './outbox-files.js'
import { createSender, type Pending } from './sender.js'

/** A report without what the outbox itself adds. */
export type Draft = Pick<Envelope, 'kind' | 'schema' | 'from' | 'to' | 'body' | 'model' | 'manifestDigest'>

export interface OutboxStats {
  /** Reports not yet acknowledged, and their bytes. */
  readonly pending: number
  readonly bytes: number
  /** Kept in memory because the disk could not be written. */
  readonly memoryOnly: number
  /** Reports that had to be given up, in this process. */
  readonly dropped: number
}

/**
 * Keeps reports until the store has committed them: on disk before they are sent, removed only on an application
 * acknowledgement. Sequences are contiguous within a boot, so what must be dropped leaves a small envelope that says
 * so in its place.
 */
export interface Outbox {
  /** Keeps a report and sends it when the link allows; resolves once it is kept. */
  add(draft: Draft): Promise<void>
  /** Whether another window may be sealed, or should rather go on growing. */
  hasRoom(): boolean
  acknowledge(ack: Ack): void
  /** After a (re)connection: what was sent before may be lost. */
  resend(): void
  /** Resolves when everything that may be sent has been handed to the link, or the link has failed. */
  sent(): Promise<void>
  /** Resolves when all is acknowledged, or after this long. */
  acknowledged(withinMs: number): Promise<void>
  stats(): OutboxStats
  close(): Promise<void>
}

export interface OutboxParts {
  readonly device: string
  readonly fleet: string
  readonly boot: string
  readonly files: OutboxFiles
  readonly link: EdgeLink
  readonly limits: EdgeLimits
  readonly logger: Logger
}

/** Most tombstones made to close a gap in an older boot; a larger gap is not one that a full disk makes. */
const MAX_GAP = 10_000

/** Opens the outbox with what earlier starts left in it. */
export async function openOutbox(parts: OutboxParts): Promise<Outbox> {
  const { files, limits, logger } = parts
  const serial = createSerial()
  const pending: Pending[] = await leftovers(parts)
  const lastSeq = { [parts.boot]: 0 } as Record<string, number>
  let dropped = 0
  let waiters: (() => void)[] = []
  const sender = createSender(pending, parts)

  const bytesOf = (list: readonly Pending[]) => list.reduce((sum, { bytes }) => sum + bytes, 0)
  const inMemory = () => pending.filter(({ envelope }) => envelope !== undefined)

  const keep = async (envelope: Envelope, report: Pending): Promise<void> => {
    report.bytes = Buffer.byteLength(JSON.stringify(envelope))
    report.kind = envelope.kind
    try {
      await files.write(envelope)
      report.envelope = undefined
    } catch (error) {
      report.envelope = envelope
      logger.warn('a report is kept in memory only', { code: codeOf(error), seq: report.seq })
    }
  }

  /** What takes the place of a report that was given up; counts it. */
  const giveUp = async (report: Pending): Promise<void> => {
    dropped += 1
    await keep(tombstone(parts, report.boot, report.seq, report.kind), report)
  }

  const shrink = async (over: () => boolean, candidates: () => Pending[]): Promise<void> => {
    for (const report of candidates()) {
      if (!over()) return
      await giveUp(report)
    }
  }

  const makeRoom = async (): Promise<void> => {
    const windows = (list: Pending[]) => list.filter(({ kind }) => kind === 'profile')
    await shrink(
      () => bytesOf(pending) > limits.maxOutboxBytes,
      () => windows(pending),
    )
    await shrink(
      () => bytesOf(inMemory()) > limits.maxOutboxMemoryBytes,
      () => windows(inMemory()),
    )
  }

  /** When the disk can be written again, what was in memory only goes there. */
  const persistMemory = async (): Promise<void> => {
    for (const report of inMemory()) {
      if (report.envelope === undefined) continue
      await keep(report.envelope, report)
      if (report.envelope !== undefined) return
    }
  }

  const removeFiles = (removed: readonly Pending[]): void => {
    void serial(async () => {
      for (const { boot, seq } of removed) await files.remove(boot, seq)
      const gone = new Set(removed.map(({ boot }) => boot))
      for (const { boot } of pending) gone.delete(boot)
      gone.delete(parts.boot)
      for (const boot of gone) await files.removeBoot(boot)
    }).catch((error: unknown) => logger.warn('acknowledged reports could not be removed', { code: codeOf(error) }))
  }

  /** Reports of an older boot that were in memory only when it ended: the cloud waits for their sequences. */
  const closeGap = (boot: string, acknowledged: number): void => {
    const first = pending.findIndex((report) => report.boot === boot)
    const next = pending[first]?.seq ?? 0
    if (boot === parts.boot || first < 0 || next <= acknowledged + 1 || next - acknowledged > MAX_GAP) return
    const missing = Array.from({ length: next - acknowledged - 1 }, (_, i) => ({
      ...newPending(boot, acknowledged + 1 + i),
      envelope: tombstone(parts, boot, acknowledged + 1 + i, 'unknown'),
    }))
    dropped += missing.length
    pending.splice(first, 0, ...missing)
    sender.pump()
  }

  const notify = () => {
    if (pending.length > 0) return
    for (const wake of waiters.splice(0)) wake()
  }

  return {
    add: (draft) =>
      serial(async () => {
        if (pending.length >= limits.maxOutboxReports + 100) {
          // Without a sequence of its own it leaves no gap.
          dropped += 1
          return
        }
        const seq = (lastSeq[parts.boot] ?? 0) + 1
        lastSeq[parts.boot] = seq
        const { device, fleet, boot } = parts
        const envelope: Envelope = { v: 1, device, fleet, boot, seq, sentAt: new Date().toISOString(), ...draft }
        const report = newPending(boot, seq)
        report.kind = draft.kind
        const bytes = Buffer.byteLength(JSON.stringify(envelope))
        if (bytes > wire.maxReportBytes) {
          logger.warn(errors.REPORT_TOO_LARGE({ kind: draft.kind, bytes, maxBytes: wire.maxReportBytes }).message)
          await giveUp(report)
        } else await keep(envelope, report)
        pending.push(report)
        if (report.envelope === undefined) await persistMemory()
        await makeRoom()
        sender.pump()
      }),
    hasRoom: () => pending.length < limits.maxOutboxReports,
    acknowledge({ boot, seq }) {
      const done = pending.filter((report) => report.boot === boot && report.seq <= seq)
      if (done.length > 0) {
        const rest = pending.filter((report) => report.boot !== boot || report.seq > seq)
        pending.splice(0, pending.length, ...rest)
        removeFiles(done)
        sender.progressed()
      }
      closeGap(boot, seq)
      notify()
    },
    resend: () => sender.resend(),
    sent: () => sender.sent(),
    async acknowledged(withinMs) {
      if (pending.length === 0) return
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, withinMs)
        waiters.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
      waiters = []
    },
    stats: () => ({ pending: pending.length, bytes: bytesOf(pending), memoryOnly: inMemory().length, dropped }),
    async close() {
      await sender.close()
      await serial(async () => undefined)
    },
  }
}

async function leftovers(parts: OutboxParts): Promise<Pending[]> {
  const found: Pending[] = []
  for (const { boot, seqs } of await parts.files.list()) {
    if (seqs.length === 0) await parts.files.removeBoot(boot)
    for (const [i, seq] of seqs.entries()) {
      const expected = i === 0 ? seq : (seqs[i - 1] ?? 0) + 1
      for (let missing = expected; missing < seq && seq - expected < MAX_GAP; missing++) {
        found.push({ ...newPending(boot, missing), envelope: tombstone(parts, boot, missing, 'unknown') })
      }
      const envelope = await parts.files.read(boot, seq)
      if (envelope === undefined) {
        found.push({ ...newPending(boot, seq), envelope: tombstone(parts, boot, seq, 'unknown') })
      } else {
        const bytes = Buffer.byteLength(JSON.stringify(envelope))
        found.push({ ...newPending(boot, seq), kind: envelope.kind, bytes })
      }
    }
  }
  return found
}

function newPending(boot: string, seq: number): Pending {
  return { boot, seq, kind: 'event', bytes: 0, sentAt: undefined, envelope: undefined }
}

function tombstone({ device, fleet }: OutboxParts, boot: string, seq: number, kind: string): Envelope {
  const now = new Date().toISOString()
  const body = { dropped: 1, droppedKind: kind }
  return { v: 1, kind: 'event', device, fleet, boot, seq, schema: 1, from: now, to: now, sentAt: now, body }
}
