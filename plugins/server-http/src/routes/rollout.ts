import { allowsDevice, allowsModel, idSchema, sha256Schema } from '@tideway/core'
import { z } from 'zod'
import { demandDevice, demandModel, originOf } from '../http/access.js'
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
      role: 'operator',
      audit: 'desired.set',
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
    async ({ body, caller }) => {
      demandModel(caller.actor, body.model)
      for (const device of body.devices ?? ['*']) demandDevice(caller.actor, body.fleet, device)
      return need(services, 'controller').deploy({ ...body, ...originOf(caller) })
    },
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/drift',
      summary: 'The latest drift verdicts',
      role: 'viewer',
      query: z.strictObject({
        model: idSchema.optional(),
        fleet: idSchema.optional(),
        device: idSchema.optional(),
        digest: sha256Schema.optional(),
      }),
      answer: z.object({ verdicts: z.array(driftVerdict) }),
    },
    async ({ query: { digest, ...filter }, caller: { actor } }) => {
      const verdicts = await need(services, 'monitor').verdicts({ ...filter, manifestDigest: digest })
      return {
        verdicts: verdicts.filter(
          ({ model, fleet, device }) => allowsModel(actor, model) && allowsDevice(actor, fleet, device ?? '*'),
        ),
      }
    },
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/audit',
      summary:
        'What was changed, by whom and from where, newest first; the next page is what comes `before` the last id',
      role: 'admin',
      query: z.strictObject({
        subject: z.string().max(255).optional(),
        action: z.string().max(255).optional(),
        actor: z.string().max(255).optional(),
        before: z.coerce.number().int().positive().optional(),
        limit: limitQuery,
      }),
      answer: z.object({ entries: z.array(auditEntry) }),
    },
    async ({ query }) => ({ entries: await need(services, 'auditLog').list(query) }),
  )
}
