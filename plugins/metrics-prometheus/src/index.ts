export { entries, errors } from './errors.js'
export { metricsPrometheus, metricsPrometheusOptions } from './plugin.js'
export { processReadings } from './process.js'
export { PrometheusMetrics, type PrometheusOptions } from './prometheus.js'
