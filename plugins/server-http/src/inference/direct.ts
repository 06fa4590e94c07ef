import type { IncomingMessage, ServerResponse } from 'node:http'
import type { InferTarget, Logger, Refusals, TraceHeaders } from '@tideway/core'
import { targetIn } from '@tideway/core/serving'
import { type Admit, ANYONE, demand } from '../http/access.js'
import type { ClientAddress } from '../http/address.js'
import { sourceOf } from '../http/aligned.js'
import type { Cors } from '../http/cors.js'
import { failureReply } from '../http/failure.js'
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
/** Paths that were read, so that it is done once. */
const MAX_PATHS = 1_000
/** No name that there is makes a longer one. */
const MAX_PATH_CHARACTERS = 256
/** How long a sender whose body is not wanted may go on, so that it reads the answer; as the adapter does. */
const DRAIN_MS = 500
const MAX_DRAIN_BYTES = 64 * 1024 ** 2
/** Bytes of so little are cheaper copied than written on their own. */
const MAX_JOINED_BYTES = 4096

interface Path {
  readonly model: string
  readonly version: string | undefined
  readonly route: string
  /** Once it was narrowed: names that cannot be are refused with each request. */
  target: InferTarget | undefined
}

/**
 * The way of inference requests ahead of the adapter to the web's Request and Response, which takes longer than a small model
 * runs: straight from Node's request to its answer. Anything written unusually (a query, percent signs, another method) is
 * not for it, and goes the way of all routes.
 */
export function directInference(options: DirectOptions): Direct {
  const { infer, admit, addressOf, cors, refusals, logger, observer, stopping } = options
  const paths = new Map<string, Path>()
  const pathAt = (url: string): Path | undefined => {
    const known = paths.get(url)
    if (known) return known
    const [, model, version] = PATH.exec(url) ?? []
    if (model === undefined) return undefined
    const path = { model, version, route: version === undefined ? ROUTE : VERSION_ROUTE, target: undefined }
    if (url.length > MAX_PATH_CHARACTERS) return path
    if (paths.size >= MAX_PATHS) paths.clear()
    paths.set(url, path)
    return path
  }
  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse, path: Path): Promise<void> => {
    const { url = '', headers } = incoming
    const asked = { method: 'POST', route: path.route, path: url, caller: headers as TraceHeaders }
    const begun = observer.begin(headers['x-request-id'] as string | undefined)
    const { requestId } = begun
    const span = observer.span(begun, asked)
    let actor = ANYONE.name
    const reply = (status: number, names: string[], body: string | Uint8Array) => {
      names.push('X-Request-Id', requestId)
      send(outgoing, status, names, body)
      observer.end(begun, asked, { status, actor }, span)
    }
    try {
      const { host = '', authorization } = headers
      const admitted = admit({ path: url, hostname: hostnameOf(host), authorization })
      // Known credentials are not waited for.
      const asks = admitted instanceof Promise ? await admitted : admitted
      actor = asks.name
      demand(asks, 'viewer', path.model)
      const target = (path.target ??= targetIn(path, 'the path'))
      const signal = goneSignal(incoming.socket)
      const answered = await infer({ target, source: sourceOf(incoming), signal, requestId, span })
      const { body } = answered
      reply(200, headersOf(answered), typeof body === 'string' ? body : body.body)
    } catch (error) {
      const forwarded = headers['x-forwarded-for'] as string | undefined
      const address = addressOf(incoming.socket.remoteAddress, forwarded)
      refusals.note(error, { method: 'POST', path: url, actor, address, requestId })
      const failure = failureReply(error, { method: 'POST', path: url, requestId }, logger)
      // Nothing can be answered behind an answer that has begun.
      if (outgoing.headersSent) return void outgoing.destroy()
      const names = ['Content-Type', 'application/json', ...Object.entries(failure.headers).flat()]
      reply(failure.status, names, JSON.stringify(failure.body))
      if (!incoming.readableEnded) drain(incoming)
    }
  }
  /** `headers`: each name and behind it its value. */
  const send = (outgoing: ServerResponse, status: number, headers: string[], body: string | Uint8Array): void => {
    const bytes = Buffer.byteLength(body)
    headers.push('Content-Length', String(bytes))
    const { origin } = outgoing.req.headers
    if (origin !== undefined) headers.push(...Object.entries(cors.headers(origin)).flat())
    if (stopping.aborted) headers.push('Connection', 'close')
    outgoing.writeHead(status, headers)
    // Text goes out in one write with the headers, bytes in one of their own behind them.
    if (typeof body === 'string') outgoing.end(body, bytes === body.length ? 'latin1' : 'utf8')
    else if (bytes > MAX_JOINED_BYTES) outgoing.end(body)
    else outgoing.end(Buffer.from(body.buffer, body.byteOffset, bytes).toString('latin1'), 'latin1')
  }
  return (incoming, outgoing) => {
    const { url = '', method, headers } = incoming
    const path = method === 'POST' && headers.host !== undefined ? pathAt(url) : undefined
    if (path === undefined) return false
    void answer(incoming, outgoing, path)
    return true
  }
}

/** Without the port, as a URL has it. */
function hostnameOf(host: string): string {
  const colon = host.lastIndexOf(':')
  return colon < 0 || !/^:\d*$/.test(host.slice(colon)) ? host : host.slice(0, colon)
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
