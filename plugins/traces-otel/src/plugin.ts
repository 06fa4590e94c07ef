import { definePlugin, nullMetrics, silentLogger, tokens } from '@tideway/core'
import { z } from 'zod'
import { ToldExporter } from './exporter.js'
import { otlpExporter, startTraces, type Traces } from './provider.js'

export const tracesOtelOptions = z.strictObject({
  /** The OTLP/HTTP endpoint: `http://127.0.0.1:4318`; without it OTEL_EXPORTER_OTLP_ENDPOINT, or that. */
  url: z.url({ protocol: /^https?$/ }).optional(),
  /** Share of the traces that begin here, 0 to 1; without it OTEL_TRACES_SAMPLER, or all. */
  sampleRatio: z.number().min(0).max(1).optional(),
  serviceName: z.string().min(1).default('tideway'),
})

/**
 * Traces over OTLP by OpenTelemetry's SDK. Provides `tokens.tracer`. The SDK's environment variables (`OTEL_*`) hold where
 * no option says otherwise.
 *
 * @example
 * export default defineConfig({ plugins: [tracesOtel({ url: 'http://collector:4318', sampleRatio: 0.01 })] })
 */
export const tracesOtel = definePlugin({
  name: '@tideway/traces-otel',
  host: '^0.1.0',
  provides: [tokens.tracer],
  wants: [tokens.logger, tokens.metrics],
  options: tracesOtelOptions,
  register(scope, options) {
    let traces: Traces | undefined
    const start = () => {
      const metrics = scope.has(tokens.metrics) ? scope.get(tokens.metrics) : nullMetrics
      const help = 'Spans that were sent, and that were lost since they could not be'
      const spans = metrics.counter({ name: 'tideway_trace_spans_total', help, labels: ['result'] })
      for (const result of ['sent', 'lost']) spans.of({ result })
      const logger = () => (scope.has(tokens.logger) ? scope.get(tokens.logger) : silentLogger)
      return startTraces(options, new ToldExporter(otlpExporter(options), spans, logger))
    }
    scope.provide(tokens.tracer, () => (traces ??= start()).tracer)
    return { stop: () => traces?.stop() }
  },
})
