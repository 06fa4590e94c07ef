import { setMaxListeners } from 'node:events'
import { readFile } from 'node:fs/promises'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { errors } from './errors.js'
import { admission, checkAddress } from './grpc/access.js'
import { admitting } from './grpc/interceptor.js'
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
  checkAddress(options)
  const { limits, apiKeys, tls } = options
  const { logger } = services
  const server = new Server({
    interceptors: [admitting(admission(apiKeys), logger)],
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
  addServices(server, services, limits, stopping.signal)
  const port = await bind(server, options)
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  return {
    url: `${tls ? 'grpcs' : 'grpc'}://${host}:${port}`,
    stop() {
      return new Promise((resolve) => {
        stopping.abort()
        const cut = setTimeout(() => server.forceShutdown(), limits.stopGraceMs)
        server.tryShutdown(() => {
          clearTimeout(cut)
          resolve()
        })
      })
    },
  }
}

async function bind(server: Server, { host, port, tls }: ServerGrpcOptions): Promise<number> {
  const credentials = tls ? await secured(tls) : ServerCredentials.createInsecure()
  const address = `${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (cause, bound) => {
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
    return ServerCredentials.createSsl(roots, [chain], roots !== null)
  } catch (cause) {
    throw errors.GRPC_TLS_INVALID({ what: 'the certificate or key', reason: String(cause) }, cause)
  }
}
