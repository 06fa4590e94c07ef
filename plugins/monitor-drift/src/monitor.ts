import {
  type Alert,
  type AuditLog,
  type ChunkStore,
  codeOf,
  type DeviceStore,
  type Envelope,
  type Logger,
  type Monitor,
  type ReportStore,
  silentLogger,
} from '@tideway/core'
import { loadBaseline } from './baseline.js'
import type { LookSchedule } from './track.js'
import { type Outcome, type WatchedVersion, watchVersion } from './version.js'

export interface DriftMonitorParts {
  readonly reports: ReportStore
  readonly chunks: ChunkStore
  /** Says which versions are active; without it every version that has reports is replayed at start. */
  readonly devices?: DeviceStore
  /** Remembers which alerts were raised; without it a drift that only the replay finds raises none. */
  readonly audit?: AuditLog
  readonly logger?: Logger
}

/** How many reports went which way since the start. */
export type ReportCounts = Readonly<
  Record<Outcome | 'otherKind' | 'unknownVersion' | 'withoutBaseline' | 'invalid' | 'failed', number>
>

export interface DriftMonitor extends Monitor {
  /** Replays the stored reports of active versions, so that a restart forgets nothing. */
  start(): Promise<void>
  counts(): ReportCounts
}

const PAGE = 1000
const RAISED = 'alert.raise'

/**
 * Creates a drift monitor. Its state is rebuilt from the report store, version by version: active ones at start, others
 * when they are next heard of or asked for. What goes wrong with one report or version is counted and logged and never
 * reaches the caller; after a failure of the store the version is read anew the next time.
 */
export function createDriftMonitor(parts: DriftMonitorParts, schedule: LookSchedule): DriftMonitor {
  const logger = parts.logger ?? silentLogger
  /** `undefined` for a version that was published without a baseline. */
  const versions = new Map<string, WatchedVersion | undefined>()
  const handlers: ((alert: Alert) => void)[] = []
  const counts = {
    merged: 0,
    duplicate: 0,
    foreign: 0,
    schema: 0,
    otherKind: 0,
    unknownVersion: 0,
    withoutBaseline: 0,
    invalid: 0,
    failed: 0,
  }
  let queue: Promise<unknown> = Promise.resolve()

  /** One at a time, in order of calling: a version is replayed once, and verdicts see all that was observed before. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = queue.then(work)
    queue = result.catch(() => undefined)
    return result
  }

  function count(what: keyof typeof counts, report: Envelope, error?: unknown): void {
    counts[what]++
    if (what === 'merged' || what === 'otherKind' || what === 'duplicate') return
    const { device, boot, seq, manifestDigest } = report
    logger.warn('profile report not merged', { what, device, boot, seq, manifestDigest, code: codeOf(error) })
  }

  function absorb(version: WatchedVersion, report: Envelope): Alert[] {
    try {
      const { outcome, alerts } = version.add(report)
      count(outcome, report)
      return alerts
    } catch (error) {
      count('invalid', report, error)
      return []
    }
  }

  async function raise(alert: Alert): Promise<void> {
    for (const handler of handlers) {
      try {
        handler(alert)
      } catch (error) {
        logger.error('alert handler failed', { alert: alert.id, error: String(error) })
      }
    }
    const { fleet, device, model, manifestDigest, score } = alert.verdict
    const data = { model, manifestDigest, fleet, ...(device !== undefined && { device }), score }
    try {
      await parts.audit?.append({ actor: 'monitor-drift', action: RAISED, subject: alert.id, data })
    } catch (error) {
      logger.error('alert not recorded; it is raised again after a restart', { alert: alert.id, code: codeOf(error) })
    }
  }

  /** Alerts of the past: raised now only if that is known not to have happened, as after a kill in between. */
  async function raiseForgotten(alerts: readonly Alert[]): Promise<void> {
    for (const alert of alerts) {
      const known = await parts.audit?.list({ subject: alert.id, action: RAISED, limit: 1 })
      if (known?.length === 0) await raise(alert)
    }
  }

  /** Pages through stored profiles, up to the first one that `stop` holds. */
  async function* stored(manifestDigest?: string, stop?: ReadonlySet<string>): AsyncGenerator<Envelope> {
    for (let after: number | undefined; ; ) {
      const page = await parts.reports.read({ kind: 'profile', manifestDigest, after, limit: PAGE })
      for (const { envelope } of page) {
        if (stop?.has(keyOf(envelope))) return
        yield envelope
      }
      if (page.length < PAGE) return
      after = page.at(-1)?.id
    }
  }

  /** A version's state, replayed up to the reports at hand on first contact. Throws when it is not known here. */
  async function versionOf(digest: string, atHand?: ReadonlySet<string>): Promise<WatchedVersion | undefined> {
    if (versions.has(digest)) return versions.get(digest)
    const baseline = await loadBaseline(parts.chunks, digest)
    const version = baseline && watchVersion(baseline, schedule)
    if (version) {
      const alerts: Alert[] = []
      for await (const report of stored(digest, atHand)) alerts.push(...absorb(version, report))
      await raiseForgotten(alerts)
    }
    versions.set(digest, version)
    return version
  }

  async function take(report: Envelope, atHand: ReadonlySet<string>): Promise<void> {
    if (report.kind !== 'profile') return count('otherKind', report)
    if (report.manifestDigest === undefined) return count('invalid', report)
    try {
      const version = await versionOf(report.manifestDigest, atHand)
      if (!version) return count('withoutBaseline', report)
      for (const alert of absorb(version, report)) await raise(alert)
    } catch (error) {
      // Unknown or unreadable versions and stores that fail alike: nothing is kept, so the next report tries again.
      count(codeOf(error) === 'CHUNK_NOT_FOUND' ? 'unknownVersion' : 'failed', report, error)
    }
  }

  async function activeDigests(): Promise<Set<string>> {
    const digests = new Set<string>()
    if (parts.devices) {
      for (const { reported } of await parts.devices.devices())
        for (const model of Object.values(reported?.models ?? {}))
          if (model.manifestDigest !== undefined) digests.add(model.manifestDigest)
      for (const { desired } of await parts.devices.allDesired())
        for (const model of Object.values(desired.models)) digests.add(model.manifestDigest)
    } else for await (const { manifestDigest } of stored()) if (manifestDigest) digests.add(manifestDigest)
    return digests
  }

  /** Replays a version that nothing was reported of just now; one that cannot be had is logged and left out. */
  async function replay(digest: string): Promise<void> {
    try {
      await versionOf(digest)
    } catch (error) {
      logger.warn('version not replayed', { manifestDigest: digest, code: codeOf(error), error: String(error) })
    }
  }

  return {
    start: () =>
      inTurn(async () => {
        for (const digest of await activeDigests()) await replay(digest)
        logger.info('drift monitor ready', { versions: versions.size, profiles: counts.merged })
      }),
    observe: (reports) =>
      inTurn(async () => {
        const atHand = new Set(reports.map(keyOf))
        for (const report of reports) await take(report, atHand)
      }),
    verdicts: (filter = {}) =>
      inTurn(async () => {
        if (filter.manifestDigest !== undefined) await replay(filter.manifestDigest)
        const keys = ['model', 'fleet', 'manifestDigest', 'device'] as const
        return [...versions.values()]
          .flatMap((version) => version?.verdicts() ?? [])
          .filter((verdict) => keys.every((key) => filter[key] === undefined || filter[key] === verdict[key]))
      }),
    onAlert(handler) {
      handlers.push(handler)
    },
    counts: () => ({ ...counts }),
  }
}

function keyOf({ device, boot, seq }: Envelope): string {
  return `${device}/${boot}/${seq}`
}
