import { HOST_VERSION, isRepository, type Statistics, storeAnswers } from '@tideway/core'
import type { Context } from 'hono'
import { errors } from '../errors.js'
import { demand } from '../http/access.js'
import type { AppEnv, Deps } from '../http/route.js'
import { documentInference, inferenceRole } from './document.js'
import { type Infer, inferHandler } from './infer.js'
import { configHandler, metadataHandler, readyHandler } from './models.js'
import { repositoryHandlers } from './repository.js'
import { statsHandlers } from './stats.js'
import { streamHandler } from './stream.js'

type Handler = (c: Context<AppEnv>) => Response | Promise<Response>

/**
 * The Open Inference Protocol v2 over HTTP (kserve/open-inference-protocol, specification/protocol/inference_rest.md), with
 * Triton's extensions for binary tensors, the model repository, model configuration and statistics. Plain handlers without schemas of their own.
 */
export function inferenceRoutes(deps: Deps, statistics: Statistics, run: Infer): void {
  const { app, services } = deps
  const route = (method: 'GET' | 'POST', path: string, handler: Handler) => {
    const role = inferenceRole(path)
    app.on(method, path, (c) => {
      demand(c.get('caller').actor, role, c.req.param('model'))
      return handler(c)
    })
    // HEAD is answered by GET's handler.
    const allow = method === 'GET' ? 'GET, HEAD' : method
    app.all(path, (c) => {
      throw errors.METHOD_NOT_ALLOWED({ method: c.req.method, path: c.req.path.slice(0, 200), allow })
    })
  }
  const [repository, stats] = [repositoryHandlers(deps), statsHandlers(deps, statistics)]

  route('GET', '/v2', (c) => {
    const { serving } = services
    const extensions = ['binary_tensor_data', 'statistics', 'model_configuration']
    if (serving && isRepository(serving)) extensions.push('model_repository', 'model_repository(unload_dependents)')
    return c.json({ name: 'tideway', version: HOST_VERSION, extensions })
  })
  route('GET', '/v2/health/live', (c) => c.json({ live: true }))
  route('GET', '/v2/health/ready', async (c) => {
    const ready = services.serving !== undefined && (await storeAnswers(services))
    return c.json({ ready }, ready ? 200 : 503)
  })
  route('POST', '/v2/repository/index', repository.index)
  route('POST', '/v2/repository/models/:model/load', repository.load)
  route('POST', '/v2/repository/models/:model/unload', repository.unload)
  // Before the route of a model of that name, as in Triton.
  route('GET', '/v2/models/stats', stats.all)
  const [metadata, ready, config] = [metadataHandler(deps), readyHandler(deps), configHandler(deps)]
  const infer = inferHandler(run)
  const infers = streamHandler(deps, statistics)
  for (const path of ['/v2/models/:model', '/v2/models/:model/versions/:version']) {
    route('GET', path, metadata)
    route('GET', `${path}/ready`, ready)
    route('GET', `${path}/config`, config)
    route('GET', `${path}/stats`, stats.one)
    route('POST', `${path}/infer`, infer)
    route('POST', `${path}/infer_stream`, infers)
  }
  documentInference(app.openAPIRegistry)
}
