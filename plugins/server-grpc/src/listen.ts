import { setMaxListeners } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { errors as core, isLoopback, Refusals } from '@tideway/core'
import { errors } from './errors.js'
import { admission } from './grpc/access.js'
import { Door } from './grpc/door.js'
import { CallObserver } from './grpc/observer.js'
import type { ServerGrpcOptions } from './options.js'
import { addServices } from './service.js'
import type { Services } from './services.js'

export interface Listener {
  /** `grpc://127.0.0.1:8001`; `grpcs:` over TLS. */
  readonly url: string
  /** Takes no new calls, finishes those in flight for at most `stopGraceMs`, then cuts the rest. */
  stop(): Promise<void>
}

/** Serves on `host` and `port`. Throws `CREDENTIALS_REQUIRED`, `GRPC_TLS_INVALID`, `GRPC_LISTEN_FAILED`. */
export async function listen(services: Services, options: ServerGrpcOptions): Promise<Listener> {
  const { limits, tls, logRequests, host, stickyHeader } = options
  const { logger, access } = services
  if (!access.required && !isLoopback(host)) throw core.CREDENTIALS_REQUIRED({ host })
  const observer = new CallObserver({ ...services, logRequests })
  const refusals = new Refusals(logger, services.metrics)
  const door = new Door({ admit: admission(access), observer, logger, refusals })
  const server = new Server({
    interceptors: [door.interceptor],
    'grpc.max_receive_message_length': limits.maxInferMessageBytes,
    'grpc.max_concurrent_streams': limits.maxConcurrentCalls,
    'grpc.keepalive_time_ms': limits.keepaliveMs,
    // Another process that listens there is an error, not a share of the calls.
    'grpc.so_reuseport': 0,
    'grpc.enable_channelz': 0,
  })
  const stopping = new AbortController()
  // Every stream listens to it.
  setMaxListeners(0, stopping.signal)
  addServices(server, { ...services, stickyHeader }, { door, logger, refusals, limits, stopping: stopping.signal })
  const port = await bind(server, options)
  const address = addressOf(host, port)
  return {
    url: `${tls ? 'grpcs' : 'grpc'}://${address}`,
    stop() {
      stopping.abort()
      // Not forceShutdown, which finds no connections while channelz is off; and before tryShutdown, by which those that it
      // is to cut would be closing already.
      server.drain(address, limits.stopGraceMs)
      return new Promise((resolve) => server.tryShutdown(() => resolve()))
    },
  }
}

/** As URLs and gRPC have it. */
function addressOf(host: string, port: number): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]:${port}` : `${host}:${port}`
}

async function bind(server: Server, { host, port, tls }: ServerGrpcOptions): Promise<number> {
  const credentials = tls ? await secured(tls) : ServerCredentials.createInsecure()
  return new Promise((resolve, reject) => {
    server.bindAsync(addressOf(host, port), credentials, (cause, bound) => {
      if (cause) reject(errors.GRPC_LISTEN_FAILED({ host, port, reason: cause.message }, cause))
      else resolve(bound)
    })
  })
}

async function secured({ cert, key, ca }: NonNullable<ServerGrpcOptions['tls']>): Promise<ServerCredentials> {
  const pem = async (what: string, file: string) => {
    try {
      return await readFile(file)
    } catch (cause) {
      throw errors.GRPC_TLS_INVALID({ what, reason: String(cause) }, cause)
    }
  }
  const chain = { cert_chain: await pem('the certificate', cert), private_key: await pem('the key', key) }
  const roots = ca === undefined ? null : await pem('the CA', ca)
  try {
    // What gRPC's library says of them comes later, as a failure to listen.
    createSecureContext({ cert: chain.cert_chain, key: chain.private_key, ca: roots ?? undefined })
    return ServerCredentials.createSsl(roots, [chain], roots !== null)
  } catch (cause) {
    throw errors.GRPC_TLS_INVALID({ what: 'the certificate or key', reason: String(cause) }, cause)
  }
}
