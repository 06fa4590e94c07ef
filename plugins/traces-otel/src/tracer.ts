import {
  type Context,
  type HrTime,
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
    start(name, options = {}) {
      const { caller } = options
      const isOurs = caller?.traceparent === undefined
      if (isOurs && !mayBegin()) return undefined
      const context = isOurs ? ROOT_CONTEXT : propagator.extract(ROOT_CONTEXT, caller, headers)
      // One that cannot be read is none (W3C Trace Context, 3.2.1).
      if (!isOurs && trace.getSpanContext(context) === undefined && !mayBegin()) return undefined
      const clock = new TraceClock()
      const span = tracer.startSpan(name, optionsOf(options, clock), context)
      return span.isRecording() ? new RecordedSpan(tracer, clock, span, context) : undefined
    },
  }
}

class RecordedSpan implements Span {
  readonly context: SpanContext
  readonly #tracer: OtelTracer
  readonly #clock: TraceClock
  readonly #span: OtelSpan
  readonly #inside: Context

  constructor(tracer: OtelTracer, clock: TraceClock, span: OtelSpan, around: Context) {
    const { traceId, spanId } = span.spanContext()
    this.context = { traceId, spanId }
    this.#tracer = tracer
    this.#clock = clock
    this.#span = span
    this.#inside = trace.setSpan(around, span)
  }

  child(name: string, options: SpanOptions = {}): Span {
    const span = this.#tracer.startSpan(name, optionsOf(options, this.#clock), this.#inside)
    return new RecordedSpan(this.#tracer, this.#clock, span, this.#inside)
  }

  set(attributes: SpanAttributes): void {
    this.#span.setAttributes(writable(attributes))
  }

  fail(code: string): void {
    this.#span.setAttribute('error.type', code)
    this.#span.setStatus({ code: SpanStatusCode.ERROR, message: code })
  }

  end(atMs?: number): void {
    this.#span.end(this.#clock.at(atMs ?? performance.now()))
  }
}

/**
 * From the clock of `performance.now()` to the time of day, for all spans of a trace by the same offset: the SDK takes one anew
 * for each span, to a millisecond, which is as long as many of ours are.
 */
class TraceClock {
  readonly #offsetMs = Date.now() - performance.now()

  at(ms: number): HrTime {
    const time = this.#offsetMs + ms
    const seconds = Math.floor(time / 1_000)
    return [seconds, Math.min(999_999_999, Math.round((time - seconds * 1_000) * 1e6))]
  }
}

function optionsOf({ kind, startMs, attributes, links }: SpanOptions, clock: TraceClock): OtelSpanOptions {
  return {
    startTime: clock.at(startMs ?? performance.now()),
    ...(kind !== undefined && { kind: KINDS[kind] }),
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
