import type { Logger, VersionRecord } from '@tideway/core'
import type { RowRunner } from './batch.js'
import type { ServingMetrics } from './metrics.js'

const RETRY_MS = 10_000

interface Line {
  /** What requests are answered with. */
  current: VersionRecord
  /** What is being loaded to take its place. */
  next: VersionRecord | undefined
  /** When one that could not be loaded is tried again, on the clock of `performance`. */
  retryAt?: number | undefined
}

export interface SwitcherOptions {
  readonly load: (version: VersionRecord) => Promise<RowRunner>
  /** Whether a version can be run at once. */
  readonly isReady: (version: VersionRecord) => boolean
  readonly logger: () => Pick<Logger, 'error'>
  readonly metrics?: () => Pick<ServingMetrics, 'switchEnded'>
}

/**
 * Which version answers for an alias while it moves: the one before goes on until the new one is loaded and has run once. No
 * request waits for a switch, and none is lost by it. A version that cannot be loaded does not take its place; that is
 * logged, and tried again after ten seconds.
 */
export class Switcher {
  private readonly lines = new Map<string, Line>()

  constructor(private readonly options: SwitcherOptions) {}

  /** The version to answer with, when an alias of the model now names `wanted`. */
  answering(alias: string, wanted: VersionRecord): VersionRecord {
    const key = `${wanted.model} ${alias}`
    const line = this.lines.get(key)
    if (line?.current === wanted && line.next === undefined) return wanted
    if (line === undefined || line.current.manifestDigest === wanted.manifestDigest) {
      this.lines.set(key, { current: wanted, next: undefined })
      return wanted
    }
    const { isReady } = this.options
    // Nothing answers for it (unloaded, or least recently used): the request loads what it asks for.
    if (isReady(wanted) || !isReady(line.current)) {
      this.options.metrics?.().switchEnded('done')
      this.lines.set(key, { current: wanted, next: undefined })
      return wanted
    }
    const isNew = line.next?.manifestDigest !== wanted.manifestDigest
    if (isNew || performance.now() >= (line.retryAt ?? Number.POSITIVE_INFINITY)) this.prepare(key, line, wanted)
    return line.current
  }

  private prepare(key: string, line: Line, next: VersionRecord): void {
    line.next = next
    line.retryAt = undefined
    this.options.load(next).then(
      () => {
        // The alias may have moved on meanwhile.
        if (this.lines.get(key) !== line || line.next !== next) return
        this.lines.set(key, { current: next, next: undefined })
        this.options.metrics?.().switchEnded('done')
      },
      (error: unknown) => {
        if (line.next === next) line.retryAt = performance.now() + RETRY_MS
        this.options.metrics?.().switchEnded('failed')
        this.options.logger().error('a version cannot be loaded; the one before goes on', {
          model: next.model,
          version: next.version,
          answering: line.current.version,
          error: String(error),
        })
      },
    )
  }
}
