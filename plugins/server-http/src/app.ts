import { OpenAPIHono } from '@hono/zod-openapi'
import { HOST_VERSION } from '@tideway/core'
import type { Hono } from 'hono'
import { errors } from './errors.js'
import { type AppOptions, createFace, type Face } from './face.js'
import { demand } from './http/access.js'
import { entrance, identify } from './http/entrance.js'
import { answerError } from './http/failure.js'
import type { AppEnv, Deps } from './http/route.js'
import { inferenceRoutes } from './inference/routes.js'
import { observed } from './observe/middleware.js'
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

/**
 * The whole HTTP face over these services, without a listener. Routes whose service is absent answer `ROLE_NOT_HERE`.
 *
 * @example
 * const app = createApp({ registry, chunkStore })
 * const response = await app.request('http://localhost/v1/models')
 */
export function createApp(services: Services, options: AppOptions = {}): Hono<AppEnv> {
  return appOf(createFace(services, options))
}

/** All routes of a face. */
export function appOf(face: Face): Hono<AppEnv> {
  const app = new OpenAPIHono<AppEnv>()
  const { services, limits, stopping, secured, stickyHeader, statistics, infer, logger, refusals } = face
  const deps: Deps = { app, services, limits, stopping, secured, stickyHeader }

  app.onError((error, c) => {
    const { actor, ...from } = c.get('caller')
    refusals.note(error, { method: c.req.method, path: c.req.path, actor: actor.name, ...from })
    return answerError(error, c, logger)
  })
  app.notFound((c) => {
    throw errors.ROUTE_NOT_FOUND({ method: c.req.method, path: c.req.path.slice(0, 200) })
  })
  app.use(observed(face.observer))
  app.use(entrance(face.cors, face.addressOf, stopping))
  app.use(identify(face.admit))

  healthRoutes(deps)
  if (face.routes !== 'inference') controlRoutes(deps)
  inferenceRoutes(deps, statistics, infer)
  documentRoute(app)
  return app
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
