import { once } from 'node:events'
import { createServer, type Server as NodeServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { errors as core } from '@tideway/core'
import { createFace, type Face } from './app.js'
import { errors } from './errors.js'
import { isLoopback } from './http/access.js'
import type { ServerHttpOptions } from './options.js'
import type { Services } from './services.js'

export interface Listener {
  readonly url: string
  /** Takes no new connections, finishes what is in flight for at most `stopGraceMs`, then cuts the rest. */
  stop(): Promise<void>
}

/** Throws `CREDENTIALS_REQUIRED` for an address other than loopback without keys. */
export function checkAddress({ host, apiKeys }: ServerHttpOptions): void {
  if (!isLoopback(host) && apiKeys.length === 0) throw core.CREDENTIALS_REQUIRED({ host })
}

/** Serves the services on `host` and `port`. Throws `CREDENTIALS_REQUIRED`, `HTTP_LISTEN_FAILED`. */
export async function listen(services: Services, options: ServerHttpOptions): Promise<Listener> {
  checkAddress(options)
  const stopping = new AbortController()
  const face = createFace(services, { ...options, stopping: stopping.signal })
  const server = await bind(face, options)
  server.on('request', (_, response) => {
    // A connection that becomes idle while stopping has nothing more to wait for.
    response.on('close', () => stopping.signal.aborted && setImmediate(() => server.closeIdleConnections()))
  })
  const { port } = server.address() as AddressInfo
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  return {
    url: `http://${host}:${port}`,
    async stop() {
      const closed = once(server, 'close')
      server.close()
      stopping.abort()
      const cut = setTimeout(() => server.closeAllConnections(), options.limits.stopGraceMs)
      await closed
      clearTimeout(cut)
    },
  }
}

async function bind({ app, direct }: Face, { host, port, limits }: ServerHttpOptions): Promise<NodeServer> {
  const adapter = getRequestListener(app.fetch, { hostname: host })
  const server = createServer({
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
  })
  server.on('request', (incoming, outgoing) => {
    if (!direct(incoming, outgoing)) void adapter(incoming, outgoing)
  })
  server.listen(port, host)
  try {
    await once(server, 'listening')
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
    throw errors.HTTP_LISTEN_FAILED({ host, port, reason }, cause)
  }
  return server
}
