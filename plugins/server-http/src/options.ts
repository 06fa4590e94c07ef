import type { HttpLimits, RequestLogs } from '@tideway/core'
import { limits as wireLimits } from '@tideway/core/serving'
import type { CorsOptions } from './http/cors.js'

export const limitDefaults: HttpLimits = Object.freeze({
  maxJsonBodyBytes: wireLimits.maxJsonBodyBytes,
  maxInferBodyBytes: 32 * 1024 ** 2,
  maxBlobBytes: wireLimits.maxBlobBytes,
  bodyIdleMs: 30_000,
  headersTimeoutMs: 20_000,
  requestTimeoutMs: 4 * 3_600_000,
  keepAliveTimeoutMs: 65_000,
  heartbeatMs: 15_000,
  stopGraceMs: 10_000,
})

/** Resolved: what a configuration leaves out is as in `optionDefaults`. */
export interface ServerHttpOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** Which requests get a line in the log. */
  readonly logRequests: RequestLogs
  /**
   * Lower-case: whose value keeps requests with the same version while a traffic policy stands, of a user, a session, a device.
   */
  readonly stickyHeader: string
  readonly cors: CorsOptions
  /** Whose X-Forwarded-For is believed, for the audit log: addresses, or ranges as 10.0.0.0/8. */
  readonly trustedProxies: readonly string[]
  readonly limits: HttpLimits
}

/** Whose value keeps requests with the same version, where none other is configured. */
export const STICKY_HEADER = 'x-tideway-key'

export const optionDefaults: ServerHttpOptions = Object.freeze({
  host: '127.0.0.1',
  port: 4400,
  logRequests: 'changes',
  stickyHeader: STICKY_HEADER,
  cors: Object.freeze({ origins: Object.freeze([]), maxAgeSeconds: 600 }),
  trustedProxies: Object.freeze([]),
  limits: limitDefaults,
})
