import type { Envelope } from '../wire/envelope.js'

export interface StatisticVerdict {
  readonly statistic: string
  /** Name of the test: `kolmogorov-smirnov`, `fisher-exact`, ... */
  readonly test: string
  readonly pValue: number
  /** The level this p-value is held against, after every correction. */
  readonly level: number
  /** The test's distance (KS D, difference of shares), 0 to 1. */
  readonly distance: number
}

export interface DriftVerdict {
  readonly model: string
  readonly manifestDigest: string
  readonly fleet: string
  /** Undefined for the whole fleet merged. */
  readonly device?: string
  readonly rows: number
  readonly baselineRows: number
  /** Looks taken so far; the stated alarm rate is spent over all of them. */
  readonly looks: number
  /** Sticky: true from the first look that rejected. */
  readonly flagged: boolean
  /** 1 at the threshold, above it when flagged: largest of log(p)/log(level) over the statistics of the worst look. */
  readonly score: number
  /** The stated family-wise alarm rate of this device and version, over all statistics and looks. */
  readonly alarmRate: number
  /** Worst first, of the last look. */
  readonly statistics: readonly StatisticVerdict[]
  readonly at: string
}

export interface Alert {
  readonly id: string
  readonly kind: 'drift'
  readonly verdict: DriftVerdict
  readonly at: string
}

/** Takes profiles in, merges, tests, raises alerts. */
export interface Monitor {
  /** Told of every report newly committed to the store, in order per device. Must not throw on unknown kinds or versions. */
  observe(reports: readonly Envelope[]): Promise<void>
  /** Latest verdicts; devices without enough rows for a first look are listed with `looks: 0`. */
  verdicts(filter?: {
    model?: string
    fleet?: string
    manifestDigest?: string
    device?: string
  }): Promise<DriftVerdict[]>
  onAlert(handler: (alert: Alert) => void): void
}
