import { checkId, type EdgeLink, type Logger, type Runtime, silentLogger } from '@tideway/core'

/** Every limit of a device; each is checked while bytes arrive or before they are kept. */
export interface EdgeLimits {
  /** All files of the chosen variant together, and its known answers. */
  readonly maxModelBytes: number
  /** Chunks in flight at most; one at first, more as the measured rate allows. */
  readonly maxConcurrentChunks: number
  /** Least time-out of one chunk; the measured rate can only lengthen it. */
  readonly minChunkTimeoutMs: number
  /** Attempts at one chunk before the update is reported as failed (and tried again later). */
  readonly chunkAttempts: number
  readonly retryBaseMs: number
  readonly retryMaxMs: number
  /** Reports not yet acknowledged; above it the oldest profile windows are dropped, counted and declared. */
  readonly maxOutboxBytes: number
  /** The part of the outbox that may be in memory only, while the disk cannot be written. */
  readonly maxOutboxMemoryBytes: number
  /** Reports in the outbox; at this many a window stays open and grows instead of being sealed. */
  readonly maxOutboxReports: number
  /** Reports sent and not yet acknowledged. */
  readonly maxUnackedReports: number
  /** After this long without an acknowledgement reports are sent again; doubles up to `retryMaxMs`. */
  readonly ackTimeoutMs: number
  /** How long `close` waits for acknowledgements. */
  readonly closeTimeoutMs: number
}

export const defaultLimits: EdgeLimits = Object.freeze({
  maxModelBytes: 512 * 1024 ** 2,
  maxConcurrentChunks: 8,
  // 128 KiB at 20 kB/s take 7 s; four times that.
  minChunkTimeoutMs: 30_000,
  chunkAttempts: 5,
  retryBaseMs: 500,
  retryMaxMs: 300_000,
  maxOutboxBytes: 16 * 1024 ** 2,
  maxOutboxMemoryBytes: 2 * 1024 ** 2,
  maxOutboxReports: 10_000,
  maxUnackedReports: 64,
  ackTimeoutMs: 15_000,
  closeTimeoutMs: 5_000,
})

export interface EdgeOptions {
  readonly device: string
  readonly fleet: string
  /** This device's own folder: chunks, active versions, reports not yet acknowledged. */
  readonly dir: string
  /** Stays the caller's: `edge.close()` does not close it. */
  readonly link: EdgeLink
  readonly runtime: Runtime
  readonly logger?: Logger
  /** How often profile windows are sealed and sent; default 60,000. */
  readonly reportEveryMs?: number
  readonly limits?: Partial<EdgeLimits>
}

export type EdgeSettings = Required<Omit<EdgeOptions, 'limits'>> & { readonly limits: EdgeLimits }

/** The resolved form; throws `NAME_INVALID`. */
export function resolveOptions(options: EdgeOptions): EdgeSettings {
  return {
    ...options,
    device: checkId('device', options.device),
    fleet: checkId('fleet', options.fleet),
    logger: options.logger ?? silentLogger,
    reportEveryMs: options.reportEveryMs ?? 60_000,
    limits: { ...defaultLimits, ...options.limits },
  }
}
