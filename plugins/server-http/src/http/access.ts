import { createHash, timingSafeEqual } from 'node:crypto'
import { errors as core } from '@tideway/core'
import type { MiddlewareHandler } from 'hono'
import { errors } from '../errors.js'
import type { AppEnv } from './route.js'

const OPEN = new Set(['/v1/health/live', '/v1/health/ready', '/v2/health/live', '/v2/health/ready'])
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i

export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host)
}

/** What is asked before a request is taken. */
export interface Knock {
  readonly path: string
  /** The name that the request is addressed to, without a port. */
  readonly hostname: string
  readonly authorization: string | undefined
}

/** Who asks, for the audit log; throws `HOST_REFUSED`, `UNAUTHORIZED`. */
export type Admit = (knock: Knock) => string

/**
 * Without keys: only requests addressed to loopback by name, so that a page that points its own domain at 127.0.0.1
 * (DNS rebinding) gets nowhere. With keys: a bearer key on everything but health. Who asks is the key's name, which is the
 * beginning of its SHA-256, or `local`.
 */
export function admission(apiKeys: readonly string[]): Admit {
  const keys = apiKeys.map((key) => ({
    digest: digestOf(key),
    name: `key-${digestOf(key).toString('hex').slice(0, 8)}`,
  }))
  if (keys.length === 0) {
    return ({ hostname }) => {
      if (!isLoopback(hostname)) throw errors.HOST_REFUSED({ host: hostname.slice(0, 80) })
      return 'local'
    }
  }
  return ({ path, authorization }) => {
    if (OPEN.has(path)) return 'anyone'
    const given = /^bearer (.+)$/i.exec(authorization ?? '')?.[1]
    const digest = digestOf(given ?? '')
    // Every key is compared, over digests of one length: the time taken says nothing about any key.
    const match = keys.filter((key) => timingSafeEqual(key.digest, digest))[0]
    if (!match) throw core.UNAUTHORIZED({})
    return match.name
  }
}

/** Sets `actor`. */
export function access(admit: Admit): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const { hostname } = new URL(c.req.url)
    c.set('actor', admit({ path: c.req.path, hostname, authorization: c.req.header('authorization') }))
    await next()
  }
}

function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}
