import type { BinaryBody, Credentials, InferTarget, Logger, Refusals, TraceHeaders } from '@tideway/core'
import { targetIn } from '@tideway/core/serving'
import type { Exchange } from '../connection/exchange.js'
import { type Admit, ANYONE, demand } from '../http/access.js'
import type { ClientAddress } from '../http/address.js'
import type { Header } from '../http/aligned.js'
import type { Cors } from '../http/cors.js'
import { failureReply } from '../http/failure.js'
import type { RequestObserver } from '../observe/requests.js'
import { goneSignal } from './gone.js'
import { headersOf, type Infer } from './infer.js'

/** Answers a request, or says that it is not for it. */
export type Direct = (exchange: Exchange) => boolean

export interface DirectOptions {
  readonly infer: Infer
  readonly admit: Admit
  readonly addressOf: ClientAddress
  readonly cors: Cors
  readonly refusals: Refusals
  readonly logger: Logger
  readonly observer: RequestObserver
}

const PATH = /^\/v2\/models\/([^/?#%]+)(?:\/versions\/([^/?#%]+))?\/infer$/
/** As OpenAPI has them. */
const ROUTE = '/v2/models/{model}/infer'
const VERSION_ROUTE = '/v2/models/{model}/versions/{version}/infer'
/** Paths that were read, so that it is done once. */
const MAX_PATHS = 1_000
/** No name that there is makes a longer one. */
const MAX_PATH_CHARACTERS = 256

interface Path {
  readonly model: string
  readonly version: string | undefined
  readonly route: string
  /** Once it was narrowed: names that cannot be are refused with each request. */
  target: InferTarget | undefined
}

/**
 * The way of inference requests ahead of the adapter to the web's Request and Response, which takes longer than a small model
 * runs: straight from the request to its answer. Anything written unusually (a query, percent signs, another method) is
 * not for it, and goes the way of all routes.
 */
export function directInference(options: DirectOptions): Direct {
  const { infer, admit, addressOf, cors, refusals, logger, observer } = options
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
  const answer = async (exchange: Exchange, path: Path): Promise<void> => {
    const { url, headers, socket } = exchange
    const asked = { method: 'POST', route: path.route, path: url, caller: headers as TraceHeaders }
    const begun = observer.begin(headers['x-request-id'])
    const { requestId } = begun
    const span = observer.span(begun, asked)
    let actor = ANYONE.name
    const reply = (status: number, names: string[], body: string | BinaryBody) => {
      names.push('X-Request-Id', requestId)
      send(exchange, status, names, body)
      observer.end(begun, asked, { status, actor }, span)
    }
    try {
      const { source } = exchange
      const [hostname, credentials] = [source.derive(hostnameIn), source.derive(credentialsIn)]
      const admitted = admit({ path: url, hostname, credentials })
      // Known credentials are not waited for.
      const asks = admitted instanceof Promise ? await admitted : admitted
      actor = asks.name
      demand(asks, 'viewer', path.model)
      const target = (path.target ??= targetIn(path, 'the path'))
      const signal = goneSignal(socket)
      const answered = await infer({ target, source, signal, requestId, span })
      reply(200, headersOf(answered), answered.body)
    } catch (error) {
      const forwarded = headers['x-forwarded-for']
      const address = addressOf(socket.remoteAddress, forwarded)
      refusals.note(error, { method: 'POST', path: url, actor, address, requestId })
      const failure = failureReply(error, { method: 'POST', path: url, requestId }, logger)
      // Nothing can be answered behind an answer that has begun.
      if (exchange.answered) return exchange.destroy()
      const names = ['Content-Type', 'application/json', ...Object.entries(failure.headers).flat()]
      reply(failure.status, names, JSON.stringify(failure.body))
    }
  }
  const send = (exchange: Exchange, status: number, names: string[], body: string | BinaryBody): void => {
    const { origin } = exchange.headers
    if (origin !== undefined) names.push(...Object.entries(cors.headers(origin)).flat())
    exchange.answer(status, names, body)
  }
  return (exchange) => {
    const { url, method, headers } = exchange
    const path = method === 'POST' && headers.host !== undefined ? pathAt(url) : undefined
    if (path === undefined) return false
    void answer(exchange, path)
    return true
  }
}

function credentialsIn(header: Header): Credentials {
  return { authorization: header('authorization') }
}

/** Without the port, as a URL has it. */
function hostnameIn(header: Header): string {
  const host = header('host') ?? ''
  const colon = host.lastIndexOf(':')
  return colon < 0 || !/^:\d*$/.test(host.slice(colon)) ? host : host.slice(0, colon)
}
