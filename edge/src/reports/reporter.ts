import { codeOf, type DesiredModel, type EdgeLink, type Logger, type ReportedState } from '@tideway/core'
import type { ActiveModel } from '../model/active.js'
import type { ModelSlot } from '../model/slot.js'
import type { Outbox } from './outbox.js'

const SCHEMA = 1

export interface ReporterParts {
  readonly link: EdgeLink
  readonly outbox: Outbox
  readonly logger: Logger
  readonly slots: ReadonlyMap<string, ModelSlot>
  readonly reported: () => ReportedState
}

/** Makes reports out of what happens on the device. */
export interface Reporter {
  /** The state as it is now: to the outbox, and as the link's last known state. */
  state(): void
  /** The state again, for a link that has just come back. */
  announce(): void
  failure(model: string, want: Pick<DesiredModel, 'manifestDigest' | 'version'>, error: unknown): void
  /** Seals one version's window if it saw anything. */
  seal(model: string, active: ActiveModel): void
  sealAll(): void
  /** Resolves when everything reported so far is kept. */
  settled(): Promise<void>
}

export function createReporter({ link, outbox, logger, slots, reported }: ReporterParts): Reporter {
  let adding: Promise<void> = Promise.resolve()

  const add = (draft: Parameters<Outbox['add']>[0]): void => {
    const added = outbox.add(draft).catch((error: unknown) => {
      logger.error('a report was lost', { kind: draft.kind, error: String(error) })
    })
    adding = Promise.all([adding, added]).then(() => undefined)
  }

  const now = (): { from: string; to: string; schema: number } => {
    const at = new Date().toISOString()
    return { from: at, to: at, schema: SCHEMA }
  }

  const reporter: Reporter = {
    state() {
      add({ kind: 'state', ...now(), body: reported() })
      reporter.announce()
    },
    announce() {
      link.setReported(reported()).catch((error: unknown) => {
        logger.debug('the reported state could not be sent', { code: codeOf(error) })
      })
    },
    failure(model, { manifestDigest, version }, error) {
      const code = codeOf(error) ?? 'UNEXPECTED'
      const message = error instanceof Error ? error.message : String(error)
      add({ kind: 'event', ...now(), model, manifestDigest, body: { code, message, version } })
    },
    seal(model, { installed, window }) {
      if (window === undefined || window.isEmpty) return
      const { from, to, ...rest } = window.seal()
      const { manifestDigest } = installed
      add({ kind: 'profile', schema: SCHEMA, model, manifestDigest, from, to, body: { from, to, ...rest } })
    },
    sealAll() {
      // With no room a window goes on growing, which is coarser and loses nothing.
      if (!outbox.hasRoom()) return
      for (const [name, { active }] of slots) if (active !== undefined) reporter.seal(name, active)
    },
    settled: () => adding,
  }
  return reporter
}
