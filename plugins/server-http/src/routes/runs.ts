import { allowsModel, idSchema, type RunRecord } from '@tideway/core'
import { z } from 'zod'
import { type Caller, demandModel } from '../http/access.js'
import { audit, type Deps, jsonRoute, rawRoute } from '../http/route.js'
import { idParams, limitQuery, metricKey, metricPoint, runParams, runRecord, runStatus } from '../schemas.js'
import { need } from '../services.js'

const MAX_POINTS = 10_000
const title = z.string().min(1).max(250)

export function runRoutes(deps: Deps): void {
  const { services } = deps
  // A job's run is of the experiment that is called as its model.
  const runFor = async (caller: Caller, id: string): Promise<RunRecord> => {
    const run = await need(services, 'runStore').run(id)
    demandModel(caller.actor, run.experiment)
    return run
  }
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/runs',
      summary: 'Runs, newest first',
      role: 'viewer',
      query: z.strictObject({ experiment: title.optional(), limit: limitQuery }),
      answer: z.object({ runs: z.array(runRecord) }),
    },
    async ({ query, caller }) => {
      const runs = await need(services, 'runStore').runs(query)
      return { runs: runs.filter(({ experiment }) => allowsModel(caller.actor, experiment)) }
    },
  )
  jsonRoute(
    deps,
    { method: 'get', path: '/v1/runs/{id}', summary: 'One run', role: 'viewer', params: idParams, answer: runRecord },
    async ({ params, caller }) => runFor(caller, params.id),
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/runs/{id}/metrics/{key}',
      summary: 'Every value logged of a metric',
      role: 'viewer',
      params: idParams.extend({ key: metricKey }),
      answer: z.object({ points: z.array(metricPoint) }),
    },
    async ({ params, caller }) => {
      if (caller.actor.models) await runFor(caller, params.id)
      return { points: await need(services, 'runStore').metricHistory(params.id, params.key) }
    },
  )
  jsonRoute(
    deps,
    {
      method: 'post',
      path: '/v1/runs',
      summary: 'Create a run; again with the same id is harmless',
      role: 'publisher',
      audit: 'run.create',
      body: z.object({
        id: idSchema,
        experiment: title,
        name: title,
        params: runParams.optional(),
        tags: runParams.optional(),
      }),
      status: 201,
      answer: runRecord,
    },
    async ({ body, caller }) => {
      demandModel(caller.actor, body.experiment)
      const run = await need(services, 'runStore').createRun(body)
      await audit(deps, caller, 'run.create', run.id, { experiment: run.experiment })
      return run
    },
  )
  jsonRoute(
    deps,
    {
      method: 'patch',
      path: '/v1/runs/{id}',
      summary: 'Change status, parameters or tags of a run',
      role: 'publisher',
      audit: 'run.update',
      params: idParams,
      body: z.object({ status: runStatus.optional(), params: runParams.optional(), tags: runParams.optional() }),
      answer: runRecord,
    },
    async ({ params, body, caller }) => {
      if (caller.actor.models) await runFor(caller, params.id)
      const run = await need(services, 'runStore').updateRun(params.id, body)
      await audit(deps, caller, 'run.update', run.id, { fields: Object.keys(body), status: run.status })
      return run
    },
  )
  rawRoute(
    deps,
    {
      method: 'post',
      path: '/v1/runs/{id}/metrics',
      summary: 'Log values of metrics',
      role: 'publisher',
      unaudited: 'metrics are a log themselves',
      params: idParams,
      body: z.object({ points: z.array(metricPoint).min(1).max(MAX_POINTS) }),
      responses: { 204: { description: 'Logged' } },
    },
    async ({ c, params, body, caller }) => {
      if (caller.actor.models) await runFor(caller, params.id)
      await need(services, 'runStore').logMetrics(params.id, body.points)
      return c.body(null, 204)
    },
  )
}
