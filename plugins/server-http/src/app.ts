import { OpenAPIHono } from '@hono/zod-openapi'
import { HOST_VERSION, openAccess, type RequestLogs, Statistics, silentLogger } from '@tideway/core'
import type { Hono } from 'hono'
import { errors } from './errors.js'
import { admission, demand } from './http/access.js'
import { clientAddress } from './http/address.js'
import { createCors } from './http/cors.js'
import { entrance, identify } from './http/entrance.js'
import { answerError } from './http/failure.js'
import { Refusals } from './http/refusals.js'
import type { AppEnv, Deps } from './http/route.js'
import { type Direct, directInference } from './inference/direct.js'
import { createInfer } from './inference/infer.js'
import { inferenceRoutes } from './inference/routes.js'
import { observed } from './observe/middleware.js'
import { RequestObserver } from './observe/requests.js'
import { optionsSchema, type ServerHttpOptions, type ServerLimits, STICKY_HEADER } from './options.js'
import { abTestRoutes } from './routes/ab-tests.js'
import { blobRoutes } from './routes/blobs.js'
import { chunkRoutes } from './routes/chunks.js'
import { deviceRoutes } from './routes/devices.js'
import { healthRoutes } from './routes/health.js'
import { jobRoutes } from './routes/jobs.js'
import { keyRoutes } from './routes/keys.js'
import { metricsRoutes } from './routes/metrics.js'
import { modelRoutes } from './routes/models.js'
import { rolloutRoutes } from './routes/rollout.js'
import { runRoutes } from './routes/runs.js'
import { trafficRoutes } from './routes/traffic.js'
import type { Services } from './services.js'

export interface AppOptions {
  /** `inference`: those of the Open Inference Protocol and of health alone. */
  readonly routes?: 'all' | 'inference'
  readonly limits?: Partial<ServerLimits>
  readonly stickyHeader?: string
  readonly cors?: Partial<ServerHttpOptions['cors']>
  readonly trustedProxies?: readonly string[]
  readonly logRequests?: RequestLogs
  /** Fires when the server stops, so that streams of events end. */
  readonly stopping?: AbortSignal
}

/** The HTTP face: all routes, and a shorter way for those that are asked the most. */
export interface Face {
  readonly app: Hono<AppEnv>
  /** Ahead of `app`, straight on Node's request: whether it answers. */
  readonly direct: Direct
}

/**
 * The whole HTTP face over these services, without a listener. Routes whose service is absent answer `ROLE_NOT_HERE`.
 *
 * @example
 * const app = createApp({ registry, chunkStore })
 * const response = await app.request('http://localhost/v1/models')
 */
export function createApp(services: Services, options: AppOptions = {}): Hono<AppEnv> {
  return createFace(services, options).app
}

export function createFace(services: Services, options: AppOptions = {}): Face {
  const app = new OpenAPIHono<AppEnv>()
  const { stopping = new AbortController().signal, stickyHeader = STICKY_HEADER } = options
  const { limits, trustedProxies, ...resolved } = optionsSchema.parse({
    limits: options.limits ?? {},
    cors: options.cors ?? {},
    trustedProxies: options.trustedProxies ?? [],
  })
  const who = services.access ?? openAccess
  const deps: Deps = { app, services, limits, stopping, secured: who.required, stickyHeader }
  const logger = services.logger ?? silentLogger
  const admit = admission(who)
  const addressOf = clientAddress(trustedProxies)
  const cors = createCors(resolved.cors)
  const refusals = new Refusals(logger)
  const statistics = services.statistics ?? new Statistics(services.metrics)
  const observer = new RequestObserver({ ...services, logRequests: options.logRequests })
  const infer = createInfer(deps, statistics)

  app.onError((error, c) => {
    const { actor, ...from } = c.get('caller')
    refusals.note(error, { method: c.req.method, path: c.req.path, actor: actor.name, ...from })
    return answerError(error, c, logger)
  })
  app.notFound((c) => {
    throw errors.ROUTE_NOT_FOUND({ method: c.req.method, path: c.req.path.slice(0, 200) })
  })
  app.use(observed(observer))
  app.use(entrance(cors, addressOf, stopping))
  app.use(identify(admit))

  healthRoutes(deps)
  if (options.routes !== 'inference') controlRoutes(deps)
  inferenceRoutes(deps, statistics, infer)
  documentRoute(app)
  return { app, direct: directInference({ infer, admit, addressOf, cors, refusals, logger, observer, stopping }) }
}

function controlRoutes(deps: Deps): void {
  metricsRoutes(deps)
  modelRoutes(deps)
  trafficRoutes(deps)
  abTestRoutes(deps)
  chunkRoutes(deps)
  blobRoutes(deps)
  deviceRoutes(deps)
  rolloutRoutes(deps)
  jobRoutes(deps)
  runRoutes(deps)
  keyRoutes(deps)
}

function documentRoute(app: OpenAPIHono<AppEnv>): void {
  const info = { title: 'Tideway', version: HOST_VERSION, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } }
  let document: object | undefined
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
    description: 'An API key, or a token of the configured issuer. Not needed on loopback unless it is configured.',
  })
  app.get('/openapi.json', (c) => {
    demand(c.get('caller').actor, 'viewer')
    document ??= app.getOpenAPI31Document({ openapi: '3.1.0', info })
    return c.json(document)
  })
}
