import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { codeOf, errors as core, type Logger, limits, TidewayError } from '@tideway/core'
import type { Edge } from '../edge.js'
import { errors } from '../errors.js'
import { readBody } from './body.js'
import { type Answer, json, route } from './routes.js'

export interface Door {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  close(): Promise<void>
}

export interface DoorOptions {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly maxBodyBytes?: number
  readonly logger: Logger
}

/** Of the JSON that binary tensors follow. */
const LENGTH = 'inference-header-content-length'
/** How long a refused body is still taken. */
const DISCARD_MS = 1_000
const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost'])

/**
 * Lets programs on this device infer over HTTP. It has no credentials, so it listens on loopback only, else throws
 * `CREDENTIALS_REQUIRED`, and refuses requests that a web page sent (their Host or Origin is another machine's).
 */
export async function openDoor(edge: Edge, options: DoorOptions): Promise<Door> {
  if (!LOOPBACK.has(options.host)) throw core.CREDENTIALS_REQUIRED({ host: options.host })
  const maxBytes = options.maxBodyBytes ?? limits.maxJsonBodyBytes
  const server = createServer({ requestTimeout: 60_000, headersTimeout: 10_000 }, (request, response) => {
    answer(edge, request, maxBytes).then(
      (given) => send(request, response, given),
      (error: unknown) => send(request, response, failure(error, options.logger)),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, resolve)
  })
  const { address, family, port } = server.address() as AddressInfo
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      await closed
    },
  }
}

async function answer(edge: Edge, request: IncomingMessage, maxBytes: number): Promise<Answer> {
  const { host, origin } = request.headers
  if (!isLocal(host === undefined ? undefined : `http://${host}`)) throw errors.EDGE_ORIGIN_REFUSED({ header: 'Host' })
  if (origin !== undefined && !isLocal(origin)) throw errors.EDGE_ORIGIN_REFUSED({ header: 'Origin' })
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
  const inferenceHeader = request.headersDistinct[LENGTH]?.join(', ')
  const body = (at: number) => readBody(request, maxBytes, at)
  return await route(edge, { method: request.method ?? '', path, inferenceHeader, body })
}

function isLocal(address: string | undefined): boolean {
  if (address === undefined || !URL.canParse(address)) return false
  return LOOPBACK.has(new URL(address).hostname.replace(/^\[|\]$/g, ''))
}

function failure(error: unknown, logger: Logger): Answer {
  const code = codeOf(error)
  if (code !== undefined && error instanceof TidewayError) {
    return json(error.status, { error: error.message, code, data: error.data })
  }
  // A client that went away while sending; nobody reads the answer.
  if (code === undefined && error instanceof Error && 'code' in error && error.code === 'ECONNRESET') {
    return json(400, { error: 'the request was aborted' })
  }
  logger.error('a request failed unexpectedly', { error: String(error) })
  return json(500, { error: 'unexpected error', code: code ?? 'UNEXPECTED' })
}

function send(request: IncomingMessage, response: ServerResponse, { status, body }: Answer): void {
  if (response.headersSent || response.destroyed) return
  const bytes = typeof body === 'string' ? Buffer.from(body) : body.body
  response.writeHead(status, {
    'content-type': typeof body === 'string' ? 'application/json' : 'application/octet-stream',
    'content-length': bytes.byteLength,
    ...(typeof body !== 'string' && { [LENGTH]: body.headerBytes }),
  })
  // Not "connection: close", with which Node closes at once: the reset that follows can overtake the answer.
  if (!request.complete) discard(request)
  response.end(bytes)
}

/** A client that is still sending sees the answer only if its bytes are taken for a moment longer; then it is cut. */
function discard(request: IncomingMessage): void {
  const timer = setTimeout(() => request.destroy(), DISCARD_MS)
  request.once('close', () => clearTimeout(timer))
  request.on('error', () => undefined)
  request.resume()
}
