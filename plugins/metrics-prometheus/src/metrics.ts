/** `@tideway/metrics-prometheus/metrics`: the metrics without the plugin, for a process that has no host of plugins. */
export { processReadings } from './process.js'
export { PrometheusMetrics, type PrometheusOptions } from './prometheus.js'
