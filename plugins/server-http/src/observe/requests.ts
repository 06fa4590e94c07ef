import type { Family, Histogram, Logger, Metrics, RequestLogs, Span, TraceHeaders, Tracer } from '@tideway/core'
import { nullMetrics, requestIdOf, silentLogger } from '@tideway/core/serving'

export interface ObserveOptions {
  readonly metrics?: Metrics | undefined
  readonly tracer?: Tracer | undefined
  readonly logger?: Logger | undefined
  readonly logRequests?: RequestLogs | undefined
}

/** A request as it comes. */
export interface Asked {
  readonly method: string
  /** The template that it matched, `/v1/models/{model}`; undefined where it matched none. */
  readonly route: string | undefined
  /** Without its query, which may hold secrets. */
  readonly path: string
  readonly caller: TraceHeaders
}

/** From when it came on. */
export interface Begun {
  readonly requestId: string
  /** On the clock of `performance.now()`. */
  readonly startMs: number
}

export interface Outcome {
  readonly status: number
  readonly actor?: string | undefined
}

/** Of OpenTelemetry's conventions for `http.server.request.duration`, in seconds. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
const READS = new Set(['GET', 'HEAD', 'OPTIONS'])
/** What probes and scrapers ask for all the time. */
const PROBES = /^(\/metrics|\/v[12]\/health\/\w+)$/
/** What changes nothing that somebody would want to know of: what clients tell all the time, inference, and reads with a body. */
const UNTOLD = /(\/(reports|outcomes|infer|infer_stream)|^\/v2\/repository\/index|^\/v1\/chunks\/missing)$/

/**
 * Counts, traces and logs requests by OpenTelemetry's conventions for HTTP servers. The route is its template, so that a
 * client can make no series.
 */
export class RequestObserver {
  readonly #durations: Family<Histogram, 'http_request_method' | 'http_route' | 'http_response_status_code'>
  /** By route, then by method and status. */
  readonly #series = new Map<string, Map<string, Histogram>>()
  readonly #tracer: Tracer | undefined
  readonly #logger: Logger
  readonly #logRequests: RequestLogs

  constructor({ metrics = nullMetrics, tracer, logger, logRequests }: ObserveOptions) {
    this.#durations = metrics.histogram({
      name: 'http_server_request_duration_seconds',
      help: 'How long requests took until their answer began',
      labels: ['http_request_method', 'http_route', 'http_response_status_code'],
      buckets: BUCKETS,
    })
    this.#tracer = tracer
    this.#logger = logger ?? silentLogger
    this.#logRequests = logRequests ?? 'changes'
  }

  begin(requestId: string | undefined): Begun {
    return { requestId: requestIdOf(requestId), startMs: performance.now() }
  }

  /** Its span, where its trace is sampled: `end` ends it. */
  span({ requestId, startMs }: Begun, { method, route, path, caller }: Asked): Span | undefined {
    if (this.#tracer === undefined || PROBES.test(path)) return undefined
    const known = knownMethod(method)
    const name = route === undefined ? known : `${known} ${route}`
    const span = this.#tracer.start(name, { kind: 'server', startMs, caller })
    // Behind the decision, so that most requests make none of it.
    span?.set({
      'http.request.method': known,
      ...(route !== undefined && { 'http.route': route }),
      'url.path': path.slice(0, 200),
      'url.scheme': 'http',
      'tideway.request.id': requestId,
    })
    return span
  }

  /** Once its answer begins. */
  end(begun: Begun, asked: Asked, outcome: Outcome, span: Span | undefined): void {
    const endMs = performance.now()
    const { status } = outcome
    const seconds = (endMs - begun.startMs) / 1_000
    this.#of(asked, status).observe(seconds, span?.context.traceId)
    span?.set({ 'http.response.status_code': status })
    if (status >= 500) span?.fail(String(status))
    span?.end(endMs)
    if (this.#isTold(asked)) this.#log(begun, asked, outcome, seconds, span)
  }

  #of({ method, route = '' }: Asked, status: number): Histogram {
    const ofRoute = this.#series.get(route) ?? new Map<string, Histogram>()
    this.#series.set(route, ofRoute)
    const known = knownMethod(method)
    const key = known + status
    const found = ofRoute.get(key)
    if (found) return found
    const code = String(status)
    const labels = { http_request_method: known, http_route: route, http_response_status_code: code }
    const series = this.#durations.of(labels)
    ofRoute.set(key, series)
    return series
  }

  #isTold({ method, path }: Asked): boolean {
    if (this.#logRequests === 'none') return false
    return this.#logRequests === 'all' || (!READS.has(method) && !UNTOLD.test(path))
  }

  #log({ requestId }: Begun, { method, path }: Asked, { status, actor }: Outcome, seconds: number, span?: Span): void {
    this.#logger.info('request', {
      requestId,
      ...(span && { traceId: span.context.traceId }),
      method,
      path: path.slice(0, 200),
      status,
      ms: Math.round(seconds * 1e6) / 1e3,
      ...(actor !== undefined && { actor }),
    })
  }
}

function knownMethod(method: string): string {
  return METHODS.has(method) ? method : '_OTHER'
}
