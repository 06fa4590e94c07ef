import type { IncomingMessage, ServerResponse } from 'node:http'
import { type InferTarget, inferTargetSchema, type Logger, narrow, type TraceHeaders } from '@tideway/core'
import { type Admit, demand } from '../http/access.js'
import type { ClientAddress } from '../http/address.js'
import { sourceOf } from '../http/aligned.js'
import type { Cors } from '../http/cors.js'
import { failureReply } from '../http/failure.js'
import type { Refusals } from '../http/refusals.js'
import type { RequestObserver } from '../observe/requests.js'
import { goneSignal } from './gone.js'
import { headersOf, type Infer } from './infer.js'

/** Answers a request, or says that it is not for it. */
export type Direct = (incoming: IncomingMessage, outgoing: ServerResponse) => boolean

export interface DirectOptions {
  readonly infer: Infer
  readonly admit: Admit
  readonly addressOf: ClientAddress
  readonly cors: Cors
  readonly refusals: Refusals
  readonly logger: Logger
  readonly observer: RequestObserver
  /** Fires when the server stops: connections are not used again. */
  readonly stopping: AbortSignal
}

const PATH = /^\/v2\/models\/([^/?#%]+)(?:\/versions\/([^/?#%]+))?\/infer$/
/** As OpenAPI has them. */
const ROUTE = '/v2/models/{model}/infer'
const VERSION_ROUTE = '/v2/models/{model}/versions/{version}/infer'
/** Paths that were narrowed, so that it is done once; names that are not there are refused without being remembered. */
const MAX_PATHS = 1_000
/** How long a sender whose body is not wanted may go on, so that it reads the answer; as the adapter does. */
const DRAIN_MS = 500
const MAX_DRAIN_BYTES = 64 * 1024 ** 2
/** Bytes of so little are cheaper copied than written on their own. */
const MAX_JOINED_BYTES = 4096

/**
 * The way of inference requests ahead of the adapter to the web's Request and Response, which takes longer than a small model
 * runs: straight from Node's request to its answer. Anything written unusually (a query, percent signs, another method) is
 * not for it, and goes the way of all routes.
 */
export function directInference(options: DirectOptions): Direct {
  const { infer, admit, addressOf, cors, refusals, logger, observer, stopping } = options
  const targets = new Map<string, InferTarget>()
  const targetAt = (path: string, model: string, version: string | undefined): InferTarget => {
    const known = targets.get(path)
    if (known) return known
    const target = narrow(inferTargetSchema, { model, version }, 'the path')
    if (targets.size >= MAX_PATHS) targets.clear()
    targets.set(path, target)
    return target
  }
  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse, path: string): Promise<void> => {
    const [, model = '', version] = PATH.exec(path) ?? []
    const route = version === undefined ? ROUTE : VERSION_ROUTE
    const asked = { method: 'POST', route, path, caller: incoming.headers as TraceHeaders }
    const begun = observer.begin(incoming.headers['x-request-id'] as string | undefined)
    const { requestId } = begun
    const span = observer.span(begun, asked)
    let actor: string | undefined
    const reply = (status: number, headers: Record<string, string>, body: string | Uint8Array) => {
      send(outgoing, status, { ...headers, 'X-Request-Id': requestId }, body)
      observer.end(begun, asked, { status, actor }, span)
    }
    try {
      const { host = '', authorization } = incoming.headers
      const admitted = admit({ path, hostname: hostnameOf(host), authorization })
      // Known credentials are not waited for.
      const asks = admitted instanceof Promise ? await admitted : admitted
      actor = asks.name
      demand(asks, 'viewer', model)
      const signal = goneSignal(incoming.socket)
      const answered = await infer({
        target: targetAt(path, model, version),
        source: sourceOf(incoming),
        signal,
        requestId,
        span,
      })
      const { body } = answered
      reply(200, headersOf(answered), typeof body === 'string' ? body : body.body)
    } catch (error) {
      const forwarded = incoming.headers['x-forwarded-for'] as string | undefined
      const address = addressOf(incoming.socket.remoteAddress, forwarded)
      refusals.note(error, { method: 'POST', path, actor, address, requestId })
      const { status, headers, body } = failureReply(error, { method: 'POST', path, requestId }, logger)
      // Nothing can be answered behind an answer that has begun.
      if (outgoing.headersSent) return void outgoing.destroy()
      const json = { 'Content-Type': 'application/json', ...headers }
      reply(status, json, JSON.stringify(body))
      if (!incoming.readableEnded) drain(incoming)
    }
  }
  const send = (
    outgoing: ServerResponse,
    status: number,
    headers: Record<string, string>,
    body: string | Uint8Array,
  ): void => {
    const flat = ['Content-Length', String(Buffer.byteLength(body))]
    for (const name in headers) flat.push(name, headers[name] as string)
    const { origin } = outgoing.req.headers
    const shared = origin === undefined ? undefined : cors.headers(origin)
    for (const name in shared) flat.push(name, shared[name] as string)
    if (stopping.aborted) flat.push('Connection', 'close')
    outgoing.writeHead(status, flat)
    // Text goes out in one write with the headers, bytes in one of their own behind them.
    if (typeof body === 'string' || body.byteLength > MAX_JOINED_BYTES) outgoing.end(body)
    else outgoing.end(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1'), 'latin1')
  }
  return (incoming, outgoing) => {
    const { url = '', method } = incoming
    const isHere = method === 'POST' && incoming.headers.host !== undefined && PATH.test(url)
    if (isHere) void answer(incoming, outgoing, url)
    return isHere
  }
}

/** Without the port, as a URL has it. */
function hostnameOf(host: string): string {
  return host.replace(/:\d*$/, '')
}

function drain(incoming: IncomingMessage): void {
  if (incoming.destroyed) return
  const timer = setTimeout(() => incoming.socket.destroySoon(), DRAIN_MS)
  let bytes = 0
  incoming.on('data', (part: Buffer) => {
    bytes += part.byteLength
    if (bytes > MAX_DRAIN_BYTES) incoming.socket.destroySoon()
  })
  for (const event of ['end', 'error', 'close']) incoming.once(event, () => clearTimeout(timer))
  incoming.resume()
}
