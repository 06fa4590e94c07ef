import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import {
  defaultResource,
  detectResources,
  envDetector,
  hostDetector,
  processDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources'
import {
  AlwaysOnSampler,
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base'
import { HOST_VERSION, type Tracer } from '@tideway/core'
import { otelTracer } from './tracer.js'

export interface TracesOptions {
  /** The OTLP/HTTP endpoint; without a path `/v1/traces` is meant. Undefined: as `OTEL_*` says. */
  readonly url?: string | undefined
  /** Of traces that begin here; those of callers are sampled as their callers decided. Undefined: as `OTEL_*` says. */
  readonly sampleRatio?: number | undefined
  /** `service.name`, unless `OTEL_SERVICE_NAME` says another. */
  readonly serviceName: string
}

export interface Traces {
  readonly tracer: Tracer
  /** Sends what is left. */
  stop(): Promise<void>
}

/** Where spans are sent to, over OTLP/HTTP in protobuf; headers, time-outs and certificates as `OTEL_EXPORTER_OTLP_*` says. */
export function otlpExporter({ url }: Pick<TracesOptions, 'url'>): SpanExporter {
  return new OTLPTraceExporter(url === undefined ? {} : { url: endpointOf(url) })
}

/**
 * A tracer that samples by ratio unless a caller has decided, and sends in the background. Limits of spans, queue and
 * batches are those of the SDK's environment variables.
 */
export function startTraces({ sampleRatio, serviceName }: TracesOptions, exporter: SpanExporter): Traces {
  const provider = new BasicTracerProvider({
    // Whether a trace may begin has been decided before the SDK is asked.
    ...(sampleRatio !== undefined && { sampler: new ParentBasedSampler({ root: new AlwaysOnSampler() }) }),
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.name': serviceName, 'service.version': HOST_VERSION }))
      .merge(detectResources({ detectors: [hostDetector, processDetector, envDetector] })),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  })
  const mayBegin = sampleRatio === undefined ? undefined : () => Math.random() < sampleRatio
  return {
    tracer: otelTracer(provider.getTracer('@tideway/cloud', HOST_VERSION), mayBegin),
    // What cannot be sent is told by the exporter; the process stops all the same.
    stop: () => provider.shutdown().catch(() => undefined),
  }
}

function endpointOf(url: string): string {
  const endpoint = new URL(url)
  if (endpoint.pathname === '/') endpoint.pathname = '/v1/traces'
  return endpoint.href
}
