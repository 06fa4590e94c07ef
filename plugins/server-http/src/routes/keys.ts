import { accessRoles, errors as core, type Keys } from '@tideway/core'
import { z } from 'zod'
import { audit, type Deps, jsonRoute } from '../http/route.js'
import { keyRecord } from '../schemas.js'
import { need, notHere } from '../services.js'

const keyParams = z.object({ id: z.string().regex(/^[0-9a-f]{16}$/, 'must be the id of a key, 16 hexadecimal digits') })

/** API keys: made, listed, revoked. A key itself is in one answer, and nowhere else. */
export function keyRoutes(deps: Deps): void {
  const keysHere = (): Keys => {
    const { keys } = need(deps.services, 'access')
    if (!keys) throw notHere(deps.services, 'keys')
    return keys
  }
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/keys',
      summary: 'API keys, newest first, with those that were revoked',
      role: 'admin',
      answer: z.object({ keys: z.array(keyRecord) }),
    },
    async () => ({ keys: await keysHere().list() }),
  )
  jsonRoute(
    deps,
    {
      method: 'post',
      path: '/v1/keys',
      summary: 'Make an API key; it is shown this once',
      role: 'admin',
      audit: 'key.create',
      // What scopes and names may be, those know who make keys.
      body: z.strictObject({
        name: z.string(),
        roles: z.array(z.enum(accessRoles)),
        models: z.array(z.string()).optional(),
        devices: z.array(z.string()).optional(),
        expiresAt: z.string().optional(),
      }),
      status: 201,
      answer: z.object({ key: z.string(), record: keyRecord }),
    },
    async ({ c, body, caller }) => {
      // A key whose scope is restricted would make itself one without.
      if (caller.actor.models || caller.actor.devices) throw core.ROLE_REQUIRED({ roles: ['admin without a scope'] })
      const made = await keysHere().create(body, caller.actor.name)
      const { id, name, roles, models, devices, expiresAt } = made.record
      await audit(deps, caller, 'key.create', id, { name, roles, models, devices, expiresAt })
      c.header('Cache-Control', 'no-store')
      return made
    },
  )
  jsonRoute(
    deps,
    {
      method: 'delete',
      path: '/v1/keys/{id}',
      summary: 'Revoke an API key: refused at once by this process, within a second by others',
      role: 'admin',
      audit: 'key.revoke',
      params: keyParams,
      answer: keyRecord,
    },
    async ({ params, caller }) => {
      const record = await keysHere().revoke(params.id)
      await audit(deps, caller, 'key.revoke', record.id, { name: record.name })
      return record
    },
  )
}
