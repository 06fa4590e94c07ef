import { allowsModel, type InferTarget, listStatistics, type Statistics } from '@tideway/core'
import type { Context } from 'hono'
import type { AppEnv, Deps } from '../http/route.js'
import { need } from '../services.js'
import { targetOf } from './target.js'

/** Triton's statistics extension (docs/protocol/extension_statistics.md): of all models, of one, or of one version. */
export function statsHandlers({ services }: Deps, counted: Statistics) {
  const answer = async (c: Context<AppEnv>, target: Partial<InferTarget>): Promise<Response> => {
    const statistics = await counted.whole()
    const source = { serving: need(services, 'serving'), statistics, registry: services.registry }
    const { actor } = c.get('caller')
    const listed = (await listStatistics(source, target)).filter(([model]) => allowsModel(actor, model))
    return c.json({
      model_stats: listed.map(([model, version]) => statistics.of(model, version).toJson(model, version)),
    })
  }
  return {
    all: (c: Context<AppEnv>): Promise<Response> => answer(c, {}),
    one: (c: Context<AppEnv>): Promise<Response> => answer(c, targetOf(c)),
  }
}
