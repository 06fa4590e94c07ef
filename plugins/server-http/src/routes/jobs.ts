import { z } from 'zod'
import { audit, type Deps, jsonRoute, rawRoute } from '../http/route.js'
import { idParams, jobRecord, limitQuery } from '../schemas.js'
import { need } from '../services.js'
import { jobEvents } from './job-events.js'

/** Narrowed by who runs it; here it only has to be an object. */
const anyObject = z.record(z.string(), z.unknown())

export function jobRoutes(deps: Deps): void {
  const { services, limits, stopping } = deps
  jsonRoute(
    deps,
    {
      method: 'post',
      path: '/v1/jobs',
      summary: 'Train: a resolved pipeline',
      body: anyObject,
      status: 201,
      answer: jobRecord,
    },
    // Jobs writes the audit log itself.
    async ({ body, actor }) => need(services, 'jobs').submit(body, actor),
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/jobs',
      summary: 'Jobs, newest first',
      query: z.strictObject({ limit: limitQuery }),
      answer: z.object({ jobs: z.array(jobRecord) }),
    },
    async ({ query }) => ({ jobs: await need(services, 'jobs').jobs(query.limit) }),
  )
  jsonRoute(
    deps,
    { method: 'get', path: '/v1/jobs/{id}', summary: 'One job', params: idParams, answer: jobRecord },
    async ({ params }) => need(services, 'jobs').job(params.id),
  )
  jsonRoute(
    deps,
    {
      method: 'patch',
      path: '/v1/jobs/{id}',
      summary: "A trainer node's word on its job",
      params: idParams,
      body: anyObject,
      answer: jobRecord,
    },
    async ({ params, body, actor }) => {
      const job = await need(services, 'jobs').update(params.id, body)
      // Progress comes many times a second; what a job became is the change to remember.
      if (body.status !== undefined) await audit(deps, actor, 'job.update', job.id, { status: job.status })
      return job
    },
  )
  rawRoute(
    deps,
    {
      method: 'get',
      path: '/v1/jobs/{id}/events',
      summary: 'Server-sent events `job`: the record now and after every change, until the job has ended',
      params: idParams,
      responses: {
        200: { description: 'Each event is a job record', content: { 'text/event-stream': { schema: jobRecord } } },
      },
    },
    async ({ c, params }) => {
      const jobs = need(services, 'jobs')
      await jobs.job(params.id)
      return jobEvents(c, (signal) => jobs.watch(params.id, signal), { ...limits, stopping, logger: services.logger })
    },
  )
}
