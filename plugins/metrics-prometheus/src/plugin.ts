import { definePlugin, silentLogger, tokens } from '@tideway/core'
import { z } from 'zod'
import { MAX_SERIES, prometheusMetrics } from './metrics.js'

export const metricsPrometheusOptions = z.strictObject({
  /** Whether the process itself is measured: CPU, memory, event loop, garbage collection. */
  process: z.boolean().default(true),
  /** Series of one metric at most: a bound on memory, should labels ever go wild. */
  maxSeries: z.int().min(1).max(1_000_000).default(MAX_SERIES),
})

/**
 * Metrics in memory, told in the text forms of Prometheus and OpenMetrics. Provides `tokens.metrics`; an HTTP server
 * shows them.
 *
 * @example
 * export default defineConfig({ plugins: [metricsPrometheus({ process: false })] })
 */
export const metricsPrometheus = definePlugin({
  name: '@tideway/metrics-prometheus',
  host: '^0.1.0',
  provides: [tokens.metrics],
  wants: [tokens.logger],
  options: metricsPrometheusOptions,
  register(scope, { process, maxSeries }) {
    scope.provide(tokens.metrics, () => {
      const logger = () => (scope.has(tokens.logger) ? scope.get(tokens.logger) : silentLogger)
      return prometheusMetrics({ maxSeries, logger, process })
    })
  },
})
