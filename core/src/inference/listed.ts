import type { Serving } from '../contracts/cloud.js'
import type { Registry } from '../contracts/store.js'
import { errors } from '../errors.js'
import type { Statistics } from './statistics.js'
import type { InferTarget } from './target.js'

/** A model and the number of one of its versions. */
export type NamedVersion = readonly [model: string, version: string]

export interface StatisticsSource {
  readonly serving: Serving
  readonly statistics: Statistics
  /** Knows versions that are not loaded. */
  readonly registry?: Pick<Registry, 'resolve'>
}

/**
 * Of which versions statistics are listed (Triton, docs/protocol/extension_statistics.md), of all models, of one, or of one
 * version. Without a version those that are loaded, or were asked for since this process began, in the order of the registry;
 * those that it no longer has at the end. Throws `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`.
 */
export async function listStatistics(
  { serving, statistics, registry }: StatisticsSource,
  { model, version }: Partial<InferTarget>,
): Promise<readonly NamedVersion[]> {
  if (model !== undefined && version !== undefined) {
    const record = registry ? await registry.resolve(model, version) : (await serving.metadata(model, version)).version
    return [[model, String(record.version)]]
  }
  const index = (await serving.index?.()) ?? []
  const known = new Set(statistics.known().map(keyOf))
  const live = index
    .filter((entry) => entry.state === 'ready' || known.has(keyOf([entry.model, entry.version])))
    .map((entry) => [entry.model, entry.version] as const)
  const seen = new Set(live.map(keyOf))
  const all = [...live, ...statistics.known().filter((pair) => !seen.has(keyOf(pair)))]
  if (model === undefined) return all
  const mine = all.filter(([name]) => name === model)
  if (mine.length === 0 && !index.some((entry) => entry.model === model)) throw errors.MODEL_NOT_FOUND({ model })
  return mine
}

function keyOf([model, version]: NamedVersion): string {
  return `${model} ${version}`
}
