import {
  type Context,
  type Link,
  type Span as OtelSpan,
  type SpanOptions as OtelSpanOptions,
  type Tracer as OtelTracer,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import type { Span, SpanAttributes, SpanContext, SpanOptions, TraceHeaders, Tracer } from '@tideway/core'

const KINDS: Readonly<Record<NonNullable<SpanOptions['kind']>, SpanKind>> = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
}

const propagator = new W3CTraceContextPropagator()
const headers = {
  get: (carrier: TraceHeaders, key: string) => carrier[key as keyof TraceHeaders],
  keys: (carrier: TraceHeaders) => Object.keys(carrier),
}

/**
 * Any tracer of OpenTelemetry as one of ours; what it samples is its provider's to decide.
 *
 * @param mayBegin whether a trace without a caller's may begin, asked before the provider is: a cheap no.
 * @example
 * scope.provide(tokens.tracer, () => otelTracer(provider.getTracer('tideway')))
 */
export function otelTracer(tracer: OtelTracer, mayBegin: () => boolean = () => true): Tracer {
  return {
    start(name, { caller, ...options } = {}) {
      const isOurs = caller?.traceparent === undefined
      if (isOurs && !mayBegin()) return undefined
      const context = isOurs ? ROOT_CONTEXT : propagator.extract(ROOT_CONTEXT, caller, headers)
      // One that cannot be read is none (W3C Trace Context, 3.2.1).
      if (!isOurs && trace.getSpanContext(context) === undefined && !mayBegin()) return undefined
      const span = tracer.startSpan(name, optionsOf(options), context)
      return span.isRecording() ? new RecordedSpan(tracer, span, context) : undefined
    },
  }
}

class RecordedSpan implements Span {
  readonly context: SpanContext
  readonly #tracer: OtelTracer
  readonly #span: OtelSpan
  readonly #inside: Context

  constructor(tracer: OtelTracer, span: OtelSpan, around: Context) {
    const { traceId, spanId } = span.spanContext()
    this.context = { traceId, spanId }
    this.#tracer = tracer
    this.#span = span
    this.#inside = trace.setSpan(around, span)
  }

  child(name: string, options: SpanOptions = {}): Span {
    const span = this.#tracer.startSpan(name, optionsOf(options), this.#inside)
    return new RecordedSpan(this.#tracer, span, this.#inside)
  }

  set(attributes: SpanAttributes): void {
    this.#span.setAttributes(writable(attributes))
  }

  fail(code: string): void {
    this.#span.setAttribute('error.type', code)
    this.#span.setStatus({ code: SpanStatusCode.ERROR, message: code })
  }

  end(atMs?: number): void {
    this.#span.end(atMs)
  }
}

/** OpenTelemetry takes numbers below the time origin as of `performance.now()`, too. */
function optionsOf({ kind, startMs, attributes, links }: SpanOptions): OtelSpanOptions {
  return {
    ...(kind !== undefined && { kind: KINDS[kind] }),
    ...(startMs !== undefined && { startTime: startMs }),
    ...(attributes !== undefined && { attributes: writable(attributes) }),
    ...(links !== undefined && { links: links.map(linkTo) }),
  }
}

function linkTo(context: SpanContext): Link {
  return { context: { ...context, traceFlags: TraceFlags.SAMPLED } }
}

function writable(attributes: SpanAttributes): Record<string, string | number | boolean | string[]> {
  return attributes as Record<string, string | number | boolean | string[]>
}
