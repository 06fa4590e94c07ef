import { allowsModel, errors as core, idSchema, manifestSchema, readManifest, sha256Schema } from '@tideway/core'
import { z } from 'zod'
import { demandAliases } from '../http/access.js'
import { audit, type Deps, jsonRoute } from '../http/route.js'
import { aliasParams, aliasRecord, modelParams, modelRecord, versionParams, versionRecord } from '../schemas.js'
import { need } from '../services.js'
import { checkPublishable } from './publish.js'

const alias = idSchema.regex(/\D/, 'an alias must not be a number')

export function modelRoutes(deps: Deps): void {
  const { services } = deps
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/models',
      summary: 'Every model',
      role: 'viewer',
      answer: z.object({ models: z.array(modelRecord) }),
    },
    async ({ caller }) => {
      const models = await need(services, 'registry').models()
      return { models: models.filter(({ name }) => allowsModel(caller.actor, name)) }
    },
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/models/{model}',
      summary: 'A model, its versions (oldest first) and where its aliases point',
      role: 'viewer',
      params: modelParams,
      answer: z.object({ model: modelRecord, versions: z.array(versionRecord), aliases: z.array(aliasRecord) }),
    },
    async ({ params }) => {
      const registry = need(services, 'registry')
      const [models, versions, aliases] = await Promise.all([
        registry.models(),
        registry.versions(params.model),
        registry.aliases(params.model),
      ])
      const model = models.find((item) => item.name === params.model)
      if (!model) throw core.MODEL_NOT_FOUND({ model: params.model })
      return { model, versions, aliases }
    },
  )
  jsonRoute(
    deps,
    {
      method: 'post',
      path: '/v1/models/{model}/versions',
      summary: 'Register the manifest stored as this chunk as a version; all its chunks must be stored before',
      role: 'publisher',
      audit: 'version.register',
      params: modelParams,
      body: z.object({
        manifestDigest: sha256Schema,
        runId: z.string().min(1).max(128).optional(),
        aliases: z.array(alias).max(32).optional(),
      }),
      answer: z.object({ version: versionRecord, created: z.boolean() }),
    },
    async ({ params: { model }, body, caller }) => {
      demandAliases(caller.actor, body.aliases ?? [])
      const registry = need(services, 'registry')
      await checkPublishable(need(services, 'chunkStore'), model, body.manifestDigest)
      const result = await registry.register({ model, ...body })
      await audit(deps, caller, 'version.register', `${model}:${result.version.version}`, {
        manifestDigest: body.manifestDigest,
        created: result.created,
        aliases: body.aliases ?? [],
      })
      return result
    },
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/models/{model}/versions/{version}',
      summary: 'A version, by number or alias, and its manifest',
      role: 'viewer',
      params: versionParams,
      answer: z.object({ version: versionRecord, manifest: manifestSchema }),
    },
    async ({ params }) => {
      const version = await need(services, 'registry').resolve(params.model, params.version)
      return { version, manifest: readManifest(await need(services, 'chunkStore').get(version.manifestDigest)) }
    },
  )
  jsonRoute(
    deps,
    {
      method: 'put',
      path: '/v1/models/{model}/aliases/{alias}',
      summary: 'Point an alias at a version',
      role: 'operator',
      audit: 'alias.set',
      params: aliasParams.extend({ alias }),
      body: z.object({ version: z.int().positive() }),
      answer: aliasRecord,
    },
    async ({ params, body, caller }) => {
      const record = await need(services, 'registry').setAlias(params.model, params.alias, body.version)
      await audit(deps, caller, 'alias.set', `${params.model}:${params.alias}`, { version: body.version })
      return record
    },
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/models/{model}/aliases/{alias}/history',
      summary: 'Every move of an alias, oldest first',
      role: 'viewer',
      params: aliasParams,
      answer: z.object({ history: z.array(aliasRecord) }),
    },
    async ({ params }) => ({ history: await need(services, 'registry').aliasHistory(params.model, params.alias) }),
  )
}
