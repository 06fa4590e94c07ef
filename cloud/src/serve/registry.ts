import type { AliasRecord, ModelRecord, Registry, VersionRecord } from '@tideway/core'
import { errors } from '@tideway/core/serving'
import { cloudErrors } from '../errors.js'

const LATEST = 'latest'

/**
 * A registry in memory that nothing changes: of each model one version, `1`, which the alias `latest` names. What would change
 * it throws `MODELS_FIXED`.
 */
export function fixedRegistry(
  models: readonly { readonly model: string; readonly sha256: string }[],
  createdAt: string,
): Registry {
  const versions = new Map(
    models.map(({ model, sha256 }): [string, VersionRecord] => [
      model,
      { model, version: 1, manifestDigest: sha256, createdAt },
    ]),
  )
  const find = (model: string): VersionRecord => {
    const version = versions.get(model)
    if (version === undefined) throw errors.MODEL_NOT_FOUND({ model })
    return version
  }
  const latest = (model: string): AliasRecord => ({ model, alias: LATEST, version: find(model).version, at: createdAt })
  const isRefused = async () => {
    throw cloudErrors.MODELS_FIXED({})
  }
  return {
    register: isRefused,
    setAlias: isRefused,
    models: async () => [...versions.keys()].map((name): ModelRecord => ({ name, displayName: name, createdAt })),
    versions: async (model) => [find(model)],
    async resolve(model, wanted) {
      const version = find(model)
      if (wanted !== LATEST && wanted !== String(version.version))
        throw errors.VERSION_NOT_FOUND({ model, version: wanted })
      return version
    },
    findByDigest: async (digest) => [...versions.values()].find(({ manifestDigest }) => manifestDigest === digest),
    aliases: async (model) => [latest(model)],
    aliasHistory: async (model, alias) => [latest(model)].filter((move) => move.alias === alias),
    // Nothing ever changes: what was looked up once is so for good.
    onChange: () => () => undefined,
  }
}
