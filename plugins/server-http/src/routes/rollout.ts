import { idSchema, sha256Schema } from '@tideway/core'
import { z } from 'zod'
import { type Deps, jsonRoute } from '../http/route.js'
import { auditEntry, deployment, driftVerdict, limitQuery, versionOrAlias } from '../schemas.js'
import { need } from '../services.js'

const MAX_DEVICES = 10_000

/** Deployments, drift, and the log of what was changed. */
export function rolloutRoutes(deps: Deps): void {
  const { services } = deps
  jsonRoute(
    deps,
    {
      method: 'post',
      path: '/v1/deployments',
      summary: 'Tell a fleet, or some of its devices, to run a version',
      body: z.object({
        model: idSchema,
        version: z.union([versionOrAlias, z.int().positive()]).transform(String),
        fleet: idSchema,
        devices: z.array(idSchema).min(1).max(MAX_DEVICES).optional(),
      }),
      status: 201,
      answer: deployment,
    },
    // The controller writes the audit log itself: it knows the generations that it gave.
    async ({ body, actor }) => need(services, 'controller').deploy({ ...body, actor }),
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/drift',
      summary: 'The latest drift verdicts',
      query: z.strictObject({
        model: idSchema.optional(),
        fleet: idSchema.optional(),
        device: idSchema.optional(),
        digest: sha256Schema.optional(),
      }),
      answer: z.object({ verdicts: z.array(driftVerdict) }),
    },
    async ({ query: { digest, ...filter } }) => ({
      verdicts: await need(services, 'monitor').verdicts({ ...filter, manifestDigest: digest }),
    }),
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/audit',
      summary: 'What was changed and by whom, newest first',
      query: z.strictObject({
        subject: z.string().max(255).optional(),
        action: z.string().max(255).optional(),
        limit: limitQuery,
      }),
      answer: z.object({ entries: z.array(auditEntry) }),
    },
    async ({ query }) => ({ entries: await need(services, 'auditLog').list(query) }),
  )
}
