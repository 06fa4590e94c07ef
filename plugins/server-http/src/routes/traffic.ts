import { trafficPolicySchema, trafficRequestSchema, trafficSwitchSchema } from '@tideway/core'
import { z } from 'zod'
import { audit, type Deps, jsonRoute } from '../http/route.js'
import { modelParams } from '../schemas.js'
import { need } from '../services.js'

const record = z.object({
  id: z.int(),
  model: z.string(),
  policy: trafficPolicySchema,
  salt: z.string(),
  test: z.string().optional(),
  actor: z.string(),
  at: z.iso.datetime(),
})
const count = z.int()
const view = z.object({
  model: z.string(),
  policy: trafficPolicySchema,
  record: record.optional(),
  state: z.enum(['effective', 'loading', 'failed']),
  reason: z.string(),
  answered: z.record(z.string(), count).readonly(),
  shadow: z
    .object({ agreed: count, differed: count, failed: count, dropped: count, latencyRatio: z.number().optional() })
    .optional(),
})

/** Which versions answer requests that name none. */
export function trafficRoutes(deps: Deps): void {
  const { services } = deps
  const path = '/v1/models/{model}/traffic'
  jsonRoute(
    deps,
    {
      method: 'get',
      path,
      summary: 'The traffic policy of a model, and what came of it',
      role: 'viewer',
      params: modelParams,
      answer: view,
    },
    async ({ params }) => need(services, 'traffic').show(params.model),
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path: `${path}/history`,
      summary: 'Every traffic policy of a model, oldest first',
      role: 'viewer',
      params: modelParams,
      answer: z.object({ history: z.array(record).readonly() }),
    },
    async ({ params }) => ({ history: await need(services, 'traffic').history(params.model) }),
  )
  jsonRoute(
    deps,
    {
      method: 'put',
      path,
      summary: 'Set the traffic policy of a model; one that cannot be honoured is refused',
      role: 'operator',
      audit: 'traffic.set',
      params: modelParams,
      body: trafficRequestSchema,
      answer: view,
    },
    async ({ params: { model }, body, caller }) => {
      const set = await need(services, 'traffic').set(model, body, { actor: caller.actor.name })
      await audit(deps, caller, 'traffic.set', model, { policy: set.policy })
      return set
    },
  )
  jsonRoute(
    deps,
    {
      method: 'post',
      path: `${path}/switch`,
      summary: 'Let the other version of a blue-green policy answer, or give a canary another percentage',
      role: 'operator',
      audit: 'traffic.switch',
      params: modelParams,
      body: trafficSwitchSchema,
      answer: view,
    },
    async ({ params: { model }, body, caller }) => {
      const set = await need(services, 'traffic').switch(model, body, { actor: caller.actor.name })
      await audit(deps, caller, 'traffic.switch', model, { policy: set.policy })
      return set
    },
  )
  jsonRoute(
    deps,
    {
      method: 'delete',
      path,
      summary: 'Go back to what the alias `latest` names',
      role: 'operator',
      audit: 'traffic.clear',
      params: modelParams,
      answer: view,
    },
    async ({ params: { model }, caller }) => {
      const set = await need(services, 'traffic').set(model, { kind: 'single' }, { actor: caller.actor.name })
      await audit(deps, caller, 'traffic.clear', model)
      return set
    },
  )
}
