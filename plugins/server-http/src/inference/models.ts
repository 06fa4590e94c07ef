import { encodeModelMetadata, modelConfigOf, whyNotReady } from '@tideway/core'
import type { Context } from 'hono'
import type { AppEnv, Deps } from '../http/route.js'
import { need } from '../services.js'
import { targetOf } from './target.js'

/** "Model Metadata" of the Open Inference Protocol v2. */
export function metadataHandler({ services }: Deps) {
  return async (c: Context<AppEnv>): Promise<Response> => {
    const { model, version } = targetOf(c)
    const { versions, platform, signature } = await need(services, 'serving').metadata(model, version)
    return c.json(encodeModelMetadata({ name: model, versions, platform, ...signature }))
  }
}

/** Triton's "Model Configuration" extension. */
export function configHandler({ services }: Deps) {
  return async (c: Context<AppEnv>): Promise<Response> => {
    const { model, version } = targetOf(c)
    return c.json(modelConfigOf(model, await need(services, 'serving').metadata(model, version)))
  }
}

/**
 * "Model Ready": 200 or 503, both with a body that says so; 404 for a model or version that is not there. Asking loads the
 * version, so that an answer of yes is one that the next request can rely on.
 */
export function readyHandler({ services }: Deps) {
  return async (c: Context<AppEnv>): Promise<Response> => {
    const target = targetOf(c)
    const failure = await whyNotReady(need(services, 'serving'), target)
    if (failure === undefined) return c.json({ name: target.model, ready: true })
    const { code, message } = failure
    return c.json({ name: target.model, ready: false, code, error: message }, 503)
  }
}
