import { status } from '@grpc/grpc-js'
import {
  type Family,
  type Histogram,
  type Logger,
  type Metrics,
  nullMetrics,
  type RequestLogs,
  type Span,
  type TraceHeaders,
  type Tracer,
} from '@tideway/core'

export interface ObserveOptions {
  readonly metrics?: Metrics | undefined
  readonly tracer?: Tracer | undefined
  readonly logger: Logger
  readonly logRequests: RequestLogs
}

/** A call as it comes. */
export interface Begun {
  /** Of a method that is here: `inference.GRPCInferenceService/ModelInfer`. */
  readonly method: string
  readonly requestId: string
  /** On the clock of `performance.now()`. */
  readonly startMs: number
  /** Where its trace is sampled: `end` ends it. */
  readonly span: Span | undefined
}

/** Of OpenTelemetry's conventions for `rpc.server.call.duration`, in seconds. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
/** What probes ask for all the time. */
const PROBES = /\.Health\/|\/Server(Live|Ready)$/
const CHANGES = /\/RepositoryModel(Load|Unload)$/
/** Those by which a server says that something is wrong with itself (OpenTelemetry's conventions for gRPC). */
const FAILURES = new Set([
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.UNIMPLEMENTED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS,
])

/** Counts, traces and logs calls by OpenTelemetry's conventions for gRPC servers, as the HTTP face does its requests. */
export class CallObserver {
  readonly #durations: Family<Histogram, 'rpc_method' | 'rpc_response_status_code'>
  readonly #series = new Map<string, Histogram>()
  readonly #options: ObserveOptions

  constructor(options: ObserveOptions) {
    this.#options = options
    this.#durations = (options.metrics ?? nullMetrics).histogram({
      name: 'rpc_server_call_duration_seconds',
      help: 'How long calls over gRPC took until they ended',
      labels: ['rpc_method', 'rpc_response_status_code'],
      buckets: BUCKETS,
    })
  }

  begin(method: string, requestId: string, caller: TraceHeaders): Begun {
    const startMs = performance.now()
    const { tracer } = this.#options
    if (tracer === undefined || PROBES.test(method)) return { method, requestId, startMs, span: undefined }
    const attributes = { 'rpc.system.name': 'grpc', 'rpc.method': method, 'tideway.request.id': requestId }
    return { method, requestId, startMs, span: tracer.start(method, { kind: 'server', startMs, caller, attributes }) }
  }

  /** Once. */
  end({ method, requestId, startMs, span }: Begun, code: status, actor: string | undefined): void {
    const endMs = performance.now()
    const ms = endMs - startMs
    const name = status[code] ?? String(code)
    this.#of(method, name).observe(ms / 1_000, span?.context.traceId)
    span?.set({ 'rpc.response.status_code': name })
    if (FAILURES.has(code)) span?.fail(name)
    span?.end(endMs)
    const { logRequests, logger } = this.#options
    if (logRequests !== 'all' && (logRequests === 'none' || !CHANGES.test(method))) return
    logger.info('call', {
      requestId,
      ...(span && { traceId: span.context.traceId }),
      method,
      status: name,
      ms: Math.round(ms * 1e3) / 1e3,
      ...(actor !== undefined && { actor }),
    })
  }

  #of(method: string, code: string): Histogram {
    const key = `${method} ${code}`
    const found = this.#series.get(key)
    if (found) return found
    const series = this.#durations.of({ rpc_method: method, rpc_response_status_code: code })
    this.#series.set(key, series)
    return series
  }
}
