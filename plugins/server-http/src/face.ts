import type { HttpLimits, RequestLogs } from '@tideway/core'
import { openAccess, Refusals, Statistics, silentLogger } from '@tideway/core/serving'
import { admission } from './http/access.js'
import { clientAddress } from './http/address.js'
import { type CorsOptions, createCors } from './http/cors.js'
import { createInfer } from './inference/infer.js'
import { RequestObserver } from './observe/requests.js'
import { limitDefaults, optionDefaults } from './options.js'
import type { Services } from './services.js'

export interface AppOptions {
  /** `inference`: those of the Open Inference Protocol and of health alone. */
  readonly routes?: 'all' | 'inference'
  readonly limits?: Partial<HttpLimits>
  readonly stickyHeader?: string
  readonly cors?: Partial<CorsOptions>
  readonly trustedProxies?: readonly string[]
  readonly logRequests?: RequestLogs
  /** Fires when the server stops, so that streams of events end. */
  readonly stopping?: AbortSignal
}

/** What all routes stand on, and the short way for those that are asked the most. */
export type Face = ReturnType<typeof createFace>

export function createFace(services: Services, options: AppOptions = {}) {
  const { stopping = new AbortController().signal, routes = 'all' } = options
  const { stickyHeader = optionDefaults.stickyHeader, trustedProxies = optionDefaults.trustedProxies } = options
  const limits = { ...limitDefaults, ...options.limits }
  const access = services.access ?? openAccess
  const logger = services.logger ?? silentLogger
  const statistics = services.statistics ?? new Statistics(services.metrics)
  return {
    services,
    routes,
    limits,
    stickyHeader,
    stopping,
    /** Whether credentials are required. */
    secured: access.required,
    logger,
    statistics,
    admit: admission(access),
    addressOf: clientAddress(trustedProxies),
    cors: createCors({ ...optionDefaults.cors, ...options.cors }, stickyHeader),
    refusals: new Refusals(logger, services.metrics),
    observer: new RequestObserver({ ...services, logRequests: options.logRequests }),
    infer: createInfer({ services, limits, stickyHeader }, statistics),
  }
}
