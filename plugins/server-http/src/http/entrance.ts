import type { MiddlewareHandler } from 'hono'
import { type Admit, ANYONE } from './access.js'
import type { ClientAddress } from './address.js'
import type { Cors } from './cors.js'
import type { AppEnv } from './route.js'

/**
 * The outermost: what every answer has, whatever becomes of the request, and the questions of browsers, which come without
 * credentials. Sets `caller`, of whom only the address is known so far: what is refused is logged with it.
 */
export function entrance(cors: Cors, addressOf: ClientAddress, stopping: AbortSignal): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const origin = c.req.header('origin')
    if (c.req.method === 'OPTIONS') {
      const preflight = cors.preflight(origin, c.req.header('access-control-request-method'))
      if (preflight) return c.body(null, 204, { ...preflight })
    }
    const from = c.env as AppEnv['Bindings'] | undefined
    const address = addressOf((from?.incoming ?? from)?.socket?.remoteAddress, c.req.header('x-forwarded-for'))
    const requestId = c.get('requestId')
    c.set('caller', { actor: ANYONE, requestId, ...(address !== undefined && { address }) })
    await next()
    for (const [name, value] of Object.entries(cors.headers(origin))) c.header(name, value, { append: name === 'Vary' })
    // What is in flight is finished, and its connection not used again.
    if (stopping.aborted) c.header('Connection', 'close')
  }
}

/** Finds out who asks. */
export function identify(admit: Admit): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const { hostname } = new URL(c.req.url)
    const credentials = { authorization: c.req.header('authorization') }
    const actor = await admit({ path: c.req.path, hostname, credentials })
    c.set('caller', { ...c.get('caller'), actor })
    await next()
  }
}
