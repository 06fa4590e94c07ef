import { rm } from 'node:fs/promises'
import { type Envelope, envelopeSchema, idSchema } from '@tideway/core'
import { namesIn } from '../store/chunks.js'
import { readIfThere, removeFile, writeDurably } from '../store/files.js'
import type { Layout } from '../store/layout.js'

/** The files of the outbox: `outbox/<boot>/<seq>.json`. */
export interface OutboxFiles {
  /** By boot, oldest first: the sequences on disk in order. */
  list(): Promise<{ readonly boot: string; readonly seqs: readonly number[] }[]>
  /** Undefined for a file that is gone or damaged. */
  read(boot: string, seq: number): Promise<Envelope | undefined>
  write(envelope: Envelope): Promise<void>
  remove(boot: string, seq: number): Promise<void>
  removeBoot(boot: string): Promise<void>
}

export function createOutboxFiles(layout: Layout): OutboxFiles {
  return {
    async list() {
      const boots = (await namesIn(layout.outbox)).filter((name) => idSchema.safeParse(name).success).sort()
      const found: { boot: string; seqs: number[] }[] = []
      for (const boot of boots) {
        const numbers = (await namesIn(layout.boot(boot))).map((name) => Number(/^(\d{1,15})\.json$/.exec(name)?.[1]))
        found.push({ boot, seqs: numbers.filter((seq) => seq > 0).sort((a, b) => a - b) })
      }
      return found
    },
    async read(boot, seq) {
      const bytes = await readIfThere(layout.report(boot, seq))
      if (bytes === undefined) return undefined
      try {
        const envelope = envelopeSchema.safeParse(JSON.parse(bytes.toString('utf8')))
        return envelope.success && envelope.data.seq === seq ? envelope.data : undefined
      } catch {
        return undefined
      }
    },
    async write(envelope) {
      await writeDurably(layout.temporary, layout.report(envelope.boot, envelope.seq), JSON.stringify(envelope))
    },
    async remove(boot, seq) {
      await removeFile(layout.report(boot, seq))
    },
    async removeBoot(boot) {
      await rm(layout.boot(boot), { recursive: true, force: true }).catch(() => undefined)
    },
  }
}
