import { allowsModel, type JobRecord } from '@tideway/core'
import { z } from 'zod'
import { type Caller, demandAliases, demandModel, originOf } from '../http/access.js'
import { audit, type Deps, jsonRoute, rawRoute } from '../http/route.js'
import { idParams, jobRecord, limitQuery } from '../schemas.js'
import { need } from '../services.js'
import { jobEvents } from './job-events.js'

/** Narrowed by who runs it; here it only has to be an object. */
const anyObject = z.record(z.string(), z.unknown())

export function jobRoutes(deps: Deps): void {
  const { services, limits, stopping } = deps
  const jobFor = async (caller: Caller, id: string): Promise<JobRecord> => {
    const job = await need(services, 'jobs').job(id)
    demandModel(caller.actor, job.model)
    return job
  }
  jsonRoute(
    deps,
    {
      method: 'post',
      path: '/v1/jobs',
      summary: 'Train: a resolved pipeline',
      role: 'publisher',
      audit: 'job.submit',
      body: anyObject,
      status: 201,
      answer: jobRecord,
    },
    // Jobs writes the audit log itself.
    async ({ body, caller }) => {
      demandModel(caller.actor, String(body.model))
      const { aliases } = body
      if (Array.isArray(aliases)) demandAliases(caller.actor, aliases.map(String))
      return need(services, 'jobs').submit(body, originOf(caller))
    },
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/jobs',
      summary: 'Jobs, newest first',
      role: 'viewer',
      query: z.strictObject({ limit: limitQuery }),
      answer: z.object({ jobs: z.array(jobRecord) }),
    },
    async ({ query, caller }) => {
      const all = await need(services, 'jobs').jobs(query.limit)
      return { jobs: all.filter(({ model }) => allowsModel(caller.actor, model)) }
    },
  )
  jsonRoute(
    deps,
    { method: 'get', path: '/v1/jobs/{id}', summary: 'One job', role: 'viewer', params: idParams, answer: jobRecord },
    async ({ params, caller }) => jobFor(caller, params.id),
  )
  jsonRoute(
    deps,
    {
      method: 'patch',
      path: '/v1/jobs/{id}',
      summary: "A trainer node's word on its job",
      role: 'publisher',
      audit: 'job.update',
      params: idParams,
      body: anyObject,
      answer: jobRecord,
    },
    async ({ params, body, caller }) => {
      if (caller.actor.models) await jobFor(caller, params.id)
      const job = await need(services, 'jobs').update(params.id, body)
      // Progress comes many times a second; what a job became is the change to remember.
      if (body.status !== undefined) await audit(deps, caller, 'job.update', job.id, { status: job.status })
      return job
    },
  )
  rawRoute(
    deps,
    {
      method: 'get',
      path: '/v1/jobs/{id}/events',
      summary: 'Server-sent events `job`: the record now and after every change, until the job has ended',
      role: 'viewer',
      params: idParams,
      responses: {
        200: { description: 'Each event is a job record', content: { 'text/event-stream': { schema: jobRecord } } },
      },
    },
    async ({ c, params, caller }) => {
      const jobs = need(services, 'jobs')
      await jobFor(caller, params.id)
      return jobEvents(c, (signal) => jobs.watch(params.id, signal), { ...limits, stopping, logger: services.logger })
    },
  )
}
