/** Names by OpenTelemetry's semantic conventions where they have one. Never payloads or secrets. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | readonly string[]>>

/** A span as others name it: 32 and 16 hexadecimal digits (W3C Trace Context). */
export interface SpanContext {
  readonly traceId: string
  readonly spanId: string
}

/** The headers by which a caller's trace goes on here (W3C Trace Context), as they came. */
export interface TraceHeaders {
  readonly traceparent?: string | undefined
  readonly tracestate?: string | undefined
}

export interface SpanOptions {
  /** `server`: answers a request from outside. By default `internal`. */
  readonly kind?: 'internal' | 'server' | 'client' | 'producer' | 'consumer'
  /** When it began, on the clock of `performance.now()` in milliseconds; by default now. Spans may be made afterwards. */
  readonly startMs?: number
  readonly attributes?: SpanAttributes
  /** Spans of this or other traces that it has to do with, such as requests that shared a run. */
  readonly links?: readonly SpanContext[]
}

/** A piece of work in a trace that is sampled. */
export interface Span {
  readonly context: SpanContext
  child(name: string, options?: SpanOptions): Span
  set(attributes: SpanAttributes): void
  /** Marks it as failed, by the code of an error. */
  fail(code: string): void
  /** Once. By default now, else on the clock of `performance.now()`. */
  end(atMs?: number): void
}

/**
 * Makes traces. Ours and not the interfaces of `@opentelemetry/api`, for three reasons: core runs on devices and in
 * browsers, which would load that package for nothing; whether a trace is sampled is decided first here and costs no objects
 * when it is not, while the API makes a context and a span for every request; and its tracers hang on a global. An
 * implementation adapts any OpenTelemetry SDK in some lines.
 */
export interface Tracer {
  /** Begins a trace, or goes on with the caller's. Undefined when it is not sampled: then there is nothing to do. */
  start(name: string, options?: SpanOptions & { readonly caller?: TraceHeaders }): Span | undefined
}

/** Samples nothing. */
export const nullTracer: Tracer = { start: () => undefined }
