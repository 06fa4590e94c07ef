import { allowsModel, errors, isRepository, narrow, type Repository, type ServedVersion } from '@tideway/core'
import type { Context } from 'hono'
import { z } from 'zod'
import { readAligned, sourceIn } from '../http/aligned.js'
import { type AppEnv, audit, type Deps } from '../http/route.js'
import { need, type Services } from '../services.js'
import { checkType } from './content-type.js'
import { targetOf } from './target.js'

/** As the extension has it; what is not named is refused, since a load that ignores its parameters is another load. */
export const indexRequest = z.strictObject({ ready: z.boolean().optional() })
export const loadRequest = z.strictObject({ parameters: z.strictObject({}).optional() })
export const unloadRequest = z.strictObject({
  parameters: z.strictObject({ unload_dependents: z.boolean().optional() }).optional(),
})

/** Throws `ROLE_NOT_HERE`, `EXTENSION_NOT_HERE`. */
function repositoryOf(services: Services): Repository {
  const serving = need(services, 'serving')
  if (!isRepository(serving)) throw errors.EXTENSION_NOT_HERE({ extension: 'model_repository' })
  return serving
}

/**
 * Triton's model repository extension (docs/protocol/extension_model_repository.md) over the registry: what can be loaded
 * is what is registered. `load` loads the version that the alias `latest` names, anew if it is loaded; `unload` frees all
 * versions of the model, and requests for it are refused until it is loaded again. Both are of this process, and end with
 * it; other versions than the latest are loaded by the first request for them. No model depends on another, so there are no
 * dependents to unload; configurations of the model (`config`, `file:`) are refused.
 */
export function repositoryHandlers(deps: Deps) {
  const { services, limits } = deps
  const bodyLimits = { what: 'the request body', maxBytes: limits.maxJsonBodyBytes, idleMs: limits.bodyIdleMs }
  const bodyOf = async <S extends z.ZodType>(c: Context<AppEnv>, schema: S): Promise<z.output<S>> => {
    checkType((name) => c.req.header(name))
    const bytes = await readAligned(sourceIn(c), bodyLimits, 0)
    // It may be empty.
    return narrow(schema, bytes.byteLength === 0 ? {} : parse(bytes), 'the request')
  }
  return {
    index: async (c: Context<AppEnv>): Promise<Response> => {
      const { ready = false } = await bodyOf(c, indexRequest)
      const all = await repositoryOf(services).index()
      const { actor } = c.get('caller')
      const mine = all.filter(({ model, state }) => allowsModel(actor, model) && (!ready || state === 'ready'))
      return c.json(mine.map(entryOf))
    },
    load: async (c: Context<AppEnv>): Promise<Response> => {
      const { model } = targetOf(c)
      await bodyOf(c, loadRequest)
      await repositoryOf(services).load(model)
      await audit(deps, c.get('caller'), 'model.load', model)
      return c.json({})
    },
    unload: async (c: Context<AppEnv>): Promise<Response> => {
      const { model } = targetOf(c)
      await bodyOf(c, unloadRequest)
      await repositoryOf(services).unload(model)
      await audit(deps, c.get('caller'), 'model.unload', model)
      return c.json({})
    },
  }
}

function entryOf({ model, version, state, reason }: ServedVersion): object {
  return { name: model, version, state: state.toUpperCase(), reason }
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw errors.JSON_INVALID({ what: 'the request body', bytes: bytes.byteLength }, cause)
  }
}
