import { errors as core } from '@tideway/core'
import type { Context } from 'hono'
import type { AppEnv, Deps } from '../http/route.js'
import { need } from '../services.js'
import type { Statistics } from './statistics.js'
import { targetOf } from './target.js'

/**
 * Triton's statistics extension (docs/protocol/extension_statistics.md): of all models, of one, or of one version. Without
 * a version those are listed that are loaded, or were asked for since this process began.
 */
export function statsHandlers({ services }: Deps, statistics: Statistics) {
  const serving = () => need(services, 'serving')
  const answer = (c: Context<AppEnv>, pairs: readonly (readonly [string, string])[]) =>
    c.json({ model_stats: pairs.map(([model, version]) => statistics.of(model, version).toJson(model, version)) })

  /** Names and versions in the order of the registry; of those that it no longer has, at the end. */
  async function listed(model?: string): Promise<readonly (readonly [string, string])[]> {
    const index = (await serving().index?.()) ?? []
    const known = new Set(statistics.known().map(keyOf))
    const live = index
      .filter((entry) => entry.state === 'ready' || known.has(keyOf([entry.model, entry.version])))
      .map((entry) => [entry.model, entry.version] as const)
    const seen = new Set(live.map(keyOf))
    const all = [...live, ...statistics.known().filter((pair) => !seen.has(keyOf(pair)))]
    if (model === undefined) return all
    const mine = all.filter(([name]) => name === model)
    if (mine.length === 0 && !index.some((entry) => entry.model === model)) throw core.MODEL_NOT_FOUND({ model })
    return mine
  }

  return {
    all: async (c: Context<AppEnv>): Promise<Response> => answer(c, await listed()),
    one: async (c: Context<AppEnv>): Promise<Response> => {
      const { model, version } = targetOf(c)
      if (version === undefined) return answer(c, await listed(model))
      const record = services.registry
        ? await services.registry.resolve(model, version)
        : (await serving().metadata(model, version)).version
      return answer(c, [[model, String(record.version)]])
    },
  }
}

function keyOf([model, version]: readonly [string, string]): string {
  return `${model} ${version}`
}
