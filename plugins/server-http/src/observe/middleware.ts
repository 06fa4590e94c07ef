import type { MiddlewareHandler } from 'hono'
import { routePath } from 'hono/route'
import type { AppEnv } from '../http/route.js'
import type { RequestObserver } from './requests.js'

/** Sets `requestId`, says it in the answer, and has the request observed. Around everything that may answer. */
export function observed(observer: RequestObserver): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const begun = observer.begin(c.req.header('x-request-id'))
    c.set('requestId', begun.requestId)
    await next()
    c.header('X-Request-Id', begun.requestId)
    const asked = {
      method: c.req.method,
      path: c.req.path,
      route: templateOf(routePath(c, -1)),
      caller: { traceparent: c.req.header('traceparent'), tracestate: c.req.header('tracestate') },
    }
    // Its route is known now; nothing inside has spans of its own.
    const span = observer.span(begun, asked)
    observer.end(begun, asked, { status: c.res.status, actor: c.get('caller')?.actor.name }, span)
  }
}

/** As OpenAPI has it. What only middleware matched, which is on every path, is no route. */
function templateOf(path: string): string | undefined {
  return path.includes('*') ? undefined : path.replaceAll(/:(\w+)/g, '{$1}')
}
