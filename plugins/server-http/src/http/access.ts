import { createHash, timingSafeEqual } from 'node:crypto'
import type { MiddlewareHandler } from 'hono'
import { errors } from '../errors.js'
import type { AppEnv } from './route.js'

const OPEN = new Set(['/v1/health/live', '/v1/health/ready', '/v2/health/live', '/v2/health/ready'])
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i

export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host)
}

/**
 * Without keys: only requests addressed to loopback by name, so that a page that points its own domain at 127.0.0.1
 * (DNS rebinding) gets nowhere. With keys: a bearer key on everything but health. Sets `actor` for the audit log: the
 * key's name, which is the beginning of its SHA-256, or `local`.
 */
export function access(apiKeys: readonly string[]): MiddlewareHandler<AppEnv> {
  const keys = apiKeys.map((key) => ({
    digest: digestOf(key),
    name: `key-${digestOf(key).toString('hex').slice(0, 8)}`,
  }))
  if (keys.length === 0) {
    return async (c, next) => {
      const host = new URL(c.req.url).hostname
      if (!isLoopback(host)) throw errors.HOST_REFUSED({ host: host.slice(0, 80) })
      c.set('actor', 'local')
      await next()
    }
  }
  return async (c, next) => {
    if (OPEN.has(c.req.path)) return next()
    const given = /^bearer (.+)$/i.exec(c.req.header('authorization') ?? '')?.[1]
    const digest = digestOf(given ?? '')
    // Every key is compared, over digests of one length: the time taken says nothing about any key.
    const match = keys.filter((key) => timingSafeEqual(key.digest, digest))[0]
    if (!match) throw errors.UNAUTHORIZED({})
    c.set('actor', match.name)
    return next()
  }
}

function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}
