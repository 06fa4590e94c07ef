import type { Logger, Metrics, PluginUse, ResolvedCloudConfig, Tracer } from '@tideway/core'

type Traces = ResolvedCloudConfig['traces']

/** Whether somewhere to send traces to is configured, here or by OpenTelemetry's own variables. */
export function isTraced(traces: Traces): boolean {
  const { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_SDK_DISABLED } = process.env
  const isNamed = Boolean(OTEL_EXPORTER_OTLP_ENDPOINT ?? OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)
  return OTEL_SDK_DISABLED !== 'true' && (traces !== undefined || isNamed)
}

/** Traces where they are configured. Only then is OpenTelemetry's SDK loaded, which takes longer than most parts. */
export async function tracesOf(traces: Traces): Promise<PluginUse[]> {
  if (!isTraced(traces)) return []
  const { tracesOtel } = await import('@tideway/traces-otel')
  return [tracesOtel(traces ?? {})]
}

export interface StartedTracer {
  readonly tracer: Tracer
  stop(): Promise<void>
}

/** The same for a process that has no host of plugins; undefined where there are none. */
export async function startTracer(
  traces: Traces,
  { logger, metrics }: { readonly logger: Logger; readonly metrics: Metrics },
): Promise<StartedTracer | undefined> {
  if (!isTraced(traces)) return undefined
  const [{ createHost, tokens }, { part }] = await Promise.all([import('@tideway/core'), import('../part.js')])
  const host = createHost()
  host.use(
    part(tokens.logger, () => logger),
    part(tokens.metrics, () => metrics),
    ...(await tracesOf(traces)),
  )
  await host.start()
  return { tracer: host.get(tokens.tracer), stop: () => host.stop() }
}
