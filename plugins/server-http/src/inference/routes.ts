import {
  decodeInferRequest,
  encodeInferAnswer,
  encodeModelMetadata,
  HOST_VERSION,
  idSchema,
  narrow,
} from '@tideway/core'
import type { Context } from 'hono'
import { z } from 'zod'
import { readJson } from '../http/body.js'
import type { AppEnv, Deps } from '../http/route.js'
import { isReady } from '../routes/health.js'
import { versionOrAlias } from '../schemas.js'
import { need } from '../services.js'
import { documentInference } from './document.js'

const target = z.object({ model: idSchema, version: versionOrAlias.optional() })

/**
 * The Open Inference Protocol v2 (as KServe and Triton speak it), JSON only. Plain handlers: this is the hot path, so
 * the request is narrowed by core's codec, straight into typed arrays.
 */
export function inferenceRoutes(deps: Deps): void {
  const { app, services, limits } = deps
  const bodyLimits = { what: 'the inference request', maxBytes: limits.maxInferBodyBytes, idleMs: limits.bodyIdleMs }
  const targetOf = (c: Context<AppEnv>) => narrow(target, c.req.param(), 'the path')

  app.get('/v2', (c) => c.json({ name: 'tideway', version: HOST_VERSION, extensions: [] }))
  app.get('/v2/health/live', (c) => c.json({ live: true }))
  app.get('/v2/health/ready', async (c) => {
    const ready = services.serving !== undefined && (await isReady(services))
    return c.json({ ready }, ready ? 200 : 503)
  })
  for (const path of ['/v2/models/:model', '/v2/models/:model/versions/:version']) {
    app.get(path, async (c) => {
      const { model, version } = targetOf(c)
      const { versions, platform, signature } = await need(services, 'serving').metadata(model, version)
      return c.json(encodeModelMetadata({ name: model, versions, platform, ...signature }))
    })
    app.get(`${path}/ready`, async (c) => {
      const { model, version } = targetOf(c)
      await need(services, 'serving').metadata(model, version)
      return c.json({ name: model, ready: true })
    })
    app.post(`${path}/infer`, async (c) => {
      const { model, version } = targetOf(c)
      const serving = need(services, 'serving')
      const request = decodeInferRequest((await readJson(c, bodyLimits)).value)
      const answer = await serving.infer(model, version, request.inputs)
      const { outputs } = answer
      const text = encodeInferAnswer({ model, version: String(answer.version.version), outputs }, request)
      return c.body(text, 200, { 'Content-Type': 'application/json' })
    })
  }
  documentInference(app.openAPIRegistry)
}
