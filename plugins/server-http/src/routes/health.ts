import { HOST_VERSION, storeAnswers } from '@tideway/core'
import { z } from 'zod'
import { type Deps, jsonRoute, rawRoute } from '../http/route.js'
import { wireInfo } from '../schemas.js'
import { need } from '../services.js'

const readiness = z.object({ ready: z.boolean(), version: z.string() })

export function healthRoutes(deps: Deps): void {
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/health/live',
      summary: 'Does the process run?',
      role: 'open',
      answer: z.object({ live: z.boolean() }),
    },
    async () => ({ live: true }),
  )
  const content = { 'application/json': { schema: readiness } }
  rawRoute(
    deps,
    {
      method: 'get',
      path: '/v1/health/ready',
      summary: 'Can it do its work (its store answers)?',
      role: 'open',
      responses: { 200: { description: 'It can', content }, 503: { description: 'Not now', content } },
    },
    async ({ c }) => {
      const ready = await storeAnswers(deps.services)
      return c.json({ ready, version: HOST_VERSION }, ready ? 200 : 503)
    },
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/wire',
      summary: 'Where devices and trainer nodes connect',
      role: ['viewer', 'device'],
      answer: wireInfo,
    },
    async () => need(deps.services, 'wire'),
  )
}
