import type { PluginUse, ResolvedCloudConfig } from '@tideway/core'

/**
 * Traces where somewhere to send them to is configured, here or by OpenTelemetry's own variables. Only then is its SDK
 * loaded, which takes longer than most parts.
 */
export async function tracesOf(traces: ResolvedCloudConfig['traces']): Promise<PluginUse[]> {
  const { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_SDK_DISABLED } = process.env
  const isNamed = Boolean(OTEL_EXPORTER_OTLP_ENDPOINT ?? OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)
  if (OTEL_SDK_DISABLED === 'true' || (traces === undefined && !isNamed)) return []
  const { tracesOtel } = await import('@tideway/traces-otel')
  return [tracesOtel(traces ?? {})]
}
