import type { Logger } from '@tideway/core'
import { processReadings } from './process.js'
import { PrometheusMetrics } from './prometheus.js'

/** Series of one metric at most: a bound on memory, should labels ever go wild. */
export const MAX_SERIES = 5_000

export interface MetricsOptions {
  readonly logger: () => Logger
  /** Whether the process itself is measured: CPU, memory, event loop, garbage collection. */
  readonly process?: boolean
  readonly maxSeries?: number
}

/** `@tideway/metrics-prometheus/metrics`: the metrics without the plugin, for a process that has no host of plugins. */
export function prometheusMetrics({
  logger,
  process = true,
  maxSeries = MAX_SERIES,
}: MetricsOptions): PrometheusMetrics {
  return new PrometheusMetrics({ maxSeries, logger, ...(process && { more: processReadings() }) })
}
