import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server as NodeServer, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { errors as core, isLoopback, openAccess } from '@tideway/core/serving'
import { type Exchange, NodeExchange } from './connection/exchange.js'
import { NodeConnections } from './connection/node-connections.js'
import { PlainConnection, type PlainOptions } from './connection/plain-connection.js'
import { type Fetch, plainGets } from './connection/plain-get.js'
import { errors } from './errors.js'
import { type AppOptions, createFace, type Face } from './face.js'
import { LOOKS } from './http/stalls.js'
import { directInference } from './inference/direct.js'
import { limitDefaults } from './options.js'
import type { Services } from './services.js'

/** As `ServerHttpOptions`; what is left out is as usual. */
export type ListenOptions = AppOptions & { readonly host: string; readonly port: number }

export interface Listener {
  readonly url: string
  /** Takes no new connections, finishes what is in flight for at most `stopGraceMs`, then cuts the rest. */
  stop(): Promise<void>
}

/** Answers on connections that somebody else accepted. */
export interface Door {
  readonly take: (socket: Socket) => void
  /** As a listener's: finishes what is in flight. */
  readonly stop: () => Promise<void>
}

/** Throws `CREDENTIALS_REQUIRED` for an address other than loopback where none are, and `CORS_UNSAFE`. */
function checkAddress({ access = openAccess }: Services, { host, cors }: ListenOptions): void {
  if (access.required) return
  if (!isLoopback(host)) throw core.CREDENTIALS_REQUIRED({ host })
  if (cors?.origins?.includes('*')) throw errors.CORS_UNSAFE({})
}

/** Serves the services on `host` and `port`. Throws `CREDENTIALS_REQUIRED`, `CORS_UNSAFE`, `HTTP_LISTEN_FAILED`. */
export async function listen(services: Services, options: ListenOptions): Promise<Listener> {
  checkAddress(services, options)
  const { server, stop } = createStoppable(services, options, options.host)
  server.listen(options.port, options.host)
  try {
    await once(server, 'listening')
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
    throw errors.HTTP_LISTEN_FAILED({ host: options.host, port: options.port, reason }, cause)
  }
  const { port } = server.address() as AddressInfo
  return {
    url: urlOf(options.host, port),
    async stop() {
      const closed = once(server, 'close')
      server.close()
      await stop(closed)
    },
  }
}

/** Serves the services on connections that are given to it. */
export function createDoor(services: Services, options: AppOptions = {}): Door {
  const { server, stop } = createStoppable(services, options)
  // Node begins to look for slow and idle connections when a server listens, which this one never does.
  server.emit('listening')
  const open = new Set<Socket>()
  let emptied: (() => void) | undefined
  return {
    take(socket) {
      open.add(socket)
      socket.once('close', () => {
        open.delete(socket)
        if (open.size === 0) emptied?.()
      })
      server.emit('connection', socket)
    },
    async stop() {
      const closed = new Promise<void>((resolve) => {
        emptied = resolve
        if (open.size === 0) resolve()
      })
      await stop(closed)
      // Its timer, which looks for slow connections, ends with it.
      server.close()
    },
  }
}

export function urlOf(host: string, port: number): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** How often connections that have become idle are closed while the server stops. */
const SWEEP_MS = 20

/** A process that was asked for inference at once has answered by then. */
const LOAD_AFTER_MS = 500

interface Stoppable {
  readonly server: NodeServer
  /** Resolves when `closed` does: connections that become idle are closed, and what is left after `stopGraceMs` is cut. */
  readonly stop: (closed: Promise<unknown>) => Promise<void>
}

function createStoppable(services: Services, options: AppOptions, hostname?: string): Stoppable {
  const limits = { ...limitDefaults, ...options.limits }
  const stopping = new AbortController()
  const face = createFace(services, { ...options, limits, stopping: stopping.signal })
  const direct = directInference(face)
  const others = otherRoutes(face, hostname)
  // Node refuses a longer one than that of the whole request.
  const headersTimeout = Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs)
  const server = createServer({
    headersTimeout,
    requestTimeout: limits.requestTimeoutMs,
    // Node would look every 30 s for who takes longer.
    connectionsCheckingInterval: Math.ceil(headersTimeout / LOOKS),
    keepAliveTimeout: limits.keepAliveTimeoutMs,
  })
  const handedOver = new NodeConnections(limits.bodyIdleMs)
  // Node closes a server with it.
  server.closeIdleConnections = () => handedOver.closeIdle()
  server.on('timeout', (socket) => handedOver.silent(socket))
  server.on('request', (incoming, outgoing) => {
    handedOver.begin(incoming, outgoing)
    if (!direct(new NodeExchange(incoming, outgoing, stopping.signal))) others.answer(incoming, outgoing)
  })
  const gets = plainGets(others.fetch)
  const take = (exchange: Exchange) => direct(exchange) || gets(exchange)
  const plain = readPlainFirst(server, { ...limits, take, stopping: stopping.signal }, handedOver)
  return {
    server,
    async stop(closed) {
      stopping.abort()
      // A connection that becomes idle now has nothing more to wait for; what was sent on one before is read ahead of a sweep.
      const sweep = setInterval(() => {
        handedOver.closeIdle()
        for (const connection of plain) connection.closeIfIdle()
      }, SWEEP_MS)
      const cut = setTimeout(() => {
        server.closeAllConnections()
        for (const { socket } of plain) socket.destroy()
      }, limits.stopGraceMs)
      await closed
      clearTimeout(cut)
      clearInterval(sweep)
    },
  }
}

/** Connections come to Node's own reader of HTTP when something on them is for it. Gives those that have not come to it. */
function readPlainFirst(
  server: NodeServer,
  options: Omit<PlainOptions, 'handOver'>,
  handedOver: NodeConnections,
): ReadonlySet<PlainConnection> {
  const plain = new Set<PlainConnection>()
  const [readAll] = server.listeners('connection') as [(this: NodeServer, socket: Socket) => void]
  const toNode = (socket: Socket) => {
    handedOver.add(socket)
    readAll.call(server, socket)
  }
  server.removeListener('connection', readAll)
  server.on('connection', (socket) => {
    plain.add(new PlainConnection(socket, { ...options, handOver: toNode }, (left) => plain.delete(left)))
  })
  return plain
}

/**
 * Every other route. Their modules take longer to load than a small model: they are loaded when the server has begun to answer
 * inference, or with the first request for one of them.
 */
function otherRoutes(face: Face, hostname: string | undefined) {
  let loading: ReturnType<typeof loadOtherRoutes> | undefined
  const load = () => {
    // Where the process has no descriptors left, modules cannot be read for as long as that is so.
    loading ??= loadOtherRoutes(face, hostname).catch((error: unknown) => {
      loading = undefined
      face.logger.error('routes could not be loaded, and are tried again with the next request', {
        error: String(error),
      })
      throw error
    })
    return loading
  }
  const soon = setTimeout(() => void load().catch(() => undefined), LOAD_AFTER_MS)
  soon.unref()
  return {
    answer(incoming: IncomingMessage, outgoing: ServerResponse): void {
      load().then(
        ({ listener }) => void listener(incoming, outgoing),
        () => outgoing.destroy(),
      )
    },
    fetch: async (): Promise<Fetch> => (await load()).fetch,
  }
}

async function loadOtherRoutes(face: Face, hostname: string | undefined) {
  const [{ getRequestListener }, { appOf }] = await Promise.all([import('@hono/node-server'), import('./app.js')])
  const { fetch } = appOf(face)
  return { fetch, listener: getRequestListener(fetch, { ...(hostname !== undefined && { hostname }) }) }
}
