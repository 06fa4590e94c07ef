import type { InferContext } from '@tideway/core'
import { errors as core } from '@tideway/core/serving'
import type { Header } from '../http/aligned.js'

/** gRPC over HTTP/2, "Timeout" (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md): up to eight digits and a unit. */
const GRPC_TIMEOUT = /^(\d{1,8})([HMSmun])$/
const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 }
/** Whole milliseconds in which Envoy, which sets it, expects the answer. */
const ENVOY_TIMEOUT = 'x-envoy-expected-rq-timeout-ms'

/** What the headers of a request say of how it is to be run. */
export interface Wanted {
  /** The shorter of `Grpc-Timeout`, as gateways to gRPC take it, and Envoy's own. */
  readonly timeoutMs: number | undefined
  /** No kept answer will do (`Cache-Control`, RFC 9111, 5.2.1). */
  readonly noCache: boolean
}

/** Throws `INPUT_REJECTED` naming a header that cannot be read. */
export function wantedIn(header: Header): Wanted {
  const timeoutMs = shorter(grpcTimeoutMs(header('grpc-timeout')), envoyTimeoutMs(header(ENVOY_TIMEOUT)))
  const cacheControl = header('cache-control')
  return { timeoutMs, noCache: cacheControl !== undefined && /\bno-(cache|store)\b/i.test(cacheControl) }
}

/** By when, counted from now on, and how a request that wants this is to be run; with what else is known of it. */
export function contextOf(
  { timeoutMs, noCache }: Wanted,
  signal?: AbortSignal,
  { requestId, stickyKey, span, draw }: Pick<InferContext, 'requestId' | 'stickyKey' | 'span' | 'draw'> = {},
): InferContext {
  const deadlineMs = timeoutMs === undefined ? undefined : performance.now() + timeoutMs
  return { requestId, stickyKey, draw, span, deadlineMs, signal, noCache }
}

function shorter(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return Math.min(a, b)
}

function grpcTimeoutMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [, digits, unit = ''] = GRPC_TIMEOUT.exec(text) ?? []
  if (digits === undefined) throw unreadable('Grpc-Timeout', 'up to eight digits and one of H, M, S, m, u, n: 500m')
  return Number(digits) * (UNIT_MS[unit] as number)
}

/** 0: no time-out, as Envoy has it. */
function envoyTimeoutMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d{1,15}$/.test(text)) throw unreadable(ENVOY_TIMEOUT, 'whole milliseconds')
  return Number(text) === 0 ? undefined : Number(text)
}

function unreadable(name: string, must: string): Error {
  return core.INPUT_REJECTED({ what: 'the inference request', issues: [`header ${name}: must be ${must}`] })
}
