import {
  type Family,
  type Histogram,
  type Logger,
  type Metrics,
  nullMetrics,
  nullTracer,
  type RequestLogs,
  type Span,
  silentLogger,
  type TraceHeaders,
  type Tracer,
} from '@tideway/core'
import { requestIdOf } from './request-id.js'

export interface ObserveOptions {
  readonly metrics?: Metrics | undefined
  readonly tracer?: Tracer | undefined
  readonly logger?: Logger | undefined
  readonly logRequests?: RequestLogs
}

/** A request as it comes. */
export interface Begun {
  readonly requestId: string
  /** On the clock of `performance.now()`. */
  readonly startMs: number
}

/** A request that was answered. */
export interface Ended {
  readonly method: string
  /** The template that it matched, `/v1/models/{model}`; undefined where it matched none. */
  readonly route: string | undefined
  /** Without its query, which may hold secrets. */
  readonly path: string
  readonly status: number
  readonly actor?: string | undefined
  readonly caller: TraceHeaders
}

/** Of OpenTelemetry's conventions for `http.server.request.duration`, in seconds. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
const READS = new Set(['GET', 'HEAD', 'OPTIONS'])
/** What probes and scrapers ask for all the time. */
const PROBES = /^(\/metrics|\/v[12]\/health\/\w+)$/
/** What devices say all the time: no change that somebody made. */
const REPORTS = /\/reports$/

/**
 * Counts, traces and logs requests on routes, those of inference apart. By OpenTelemetry's conventions for HTTP servers; the
 * route is its template, so that a client can make no series.
 */
export class RequestObserver {
  readonly #durations: Family<Histogram, 'http_request_method' | 'http_route' | 'http_response_status_code'>
  readonly #series = new Map<string, Histogram>()
  readonly #tracer: Tracer
  readonly #logger: Logger
  readonly #logRequests: RequestLogs

  constructor({ metrics = nullMetrics, tracer, logger, logRequests }: ObserveOptions) {
    this.#durations = metrics.histogram({
      name: 'http_server_request_duration_seconds',
      help: 'How long requests took until their answer began, those of inference apart',
      labels: ['http_request_method', 'http_route', 'http_response_status_code'],
      buckets: BUCKETS,
    })
    this.#tracer = tracer ?? nullTracer
    this.#logger = logger ?? silentLogger
    this.#logRequests = logRequests ?? 'changes'
  }

  begin(requestId: string | undefined): Begun {
    return { requestId: requestIdOf(requestId), startMs: performance.now() }
  }

  end(begun: Begun, ended: Ended): void {
    const endMs = performance.now()
    const method = METHODS.has(ended.method) ? ended.method : '_OTHER'
    const span = PROBES.test(ended.path) ? undefined : this.#span(begun, ended, method)
    span?.end(endMs)
    this.#of(method, ended).observe((endMs - begun.startMs) / 1_000, span?.context.traceId)
    if (this.#isTold(ended)) this.#log(begun, ended, endMs - begun.startMs, span)
  }

  #of(method: string, { route = '', status }: Ended): Histogram {
    const key = `${method} ${status} ${route}`
    const known = this.#series.get(key)
    if (known) return known
    const code = String(status)
    const labels = { http_request_method: method, http_route: route, http_response_status_code: code }
    const series = this.#durations.of(labels)
    this.#series.set(key, series)
    return series
  }

  /** Made when all is known: nothing inside has spans of its own. */
  #span({ requestId, startMs }: Begun, { route, path, status, caller }: Ended, method: string): Span | undefined {
    const span = this.#tracer.start(route === undefined ? method : `${method} ${route}`, {
      kind: 'server',
      startMs,
      caller,
      attributes: {
        'http.request.method': method,
        ...(route !== undefined && { 'http.route': route }),
        'url.path': path.slice(0, 200),
        'url.scheme': 'http',
        'http.response.status_code': status,
        'tideway.request.id': requestId,
      },
    })
    if (status >= 500) span?.fail(String(status))
    return span
  }

  #isTold({ method, path }: Ended): boolean {
    if (this.#logRequests === 'none') return false
    return this.#logRequests === 'all' || (!READS.has(method) && !REPORTS.test(path) && !path.endsWith('/infer'))
  }

  #log({ requestId }: Begun, { method, path, status, actor }: Ended, ms: number, span: Span | undefined): void {
    this.#logger.info('request', {
      requestId,
      ...(span && { traceId: span.context.traceId }),
      method,
      path: path.slice(0, 200),
      status,
      ms: Math.round(ms * 1_000) / 1_000,
      ...(actor !== undefined && { actor }),
    })
  }
}
