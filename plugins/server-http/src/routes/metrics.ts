import { demandAllModels } from '../http/access.js'
import { type Deps, rawRoute } from '../http/route.js'
import { need } from '../services.js'

/** What Prometheus scrapes, in its text or in OpenMetrics, whichever it accepts. */
export function metricsRoutes(deps: Deps): void {
  const text = { schema: { type: 'string' as const } }
  const content = { 'text/plain': text, 'application/openmetrics-text': text }
  rawRoute(
    deps,
    {
      method: 'get',
      path: '/metrics',
      summary: 'Metrics for Prometheus',
      role: 'viewer',
      responses: { 200: { description: 'Every metric', content } },
    },
    async ({ c, caller }) => {
      demandAllModels(caller.actor, '/metrics')
      const { contentType, text } = await need(deps.services, 'metrics').read(c.req.header('accept'))
      return c.body(text, 200, { 'Content-Type': contentType, 'Cache-Control': 'no-store' })
    },
  )
}
