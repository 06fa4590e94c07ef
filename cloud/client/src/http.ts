import { TidewayError } from '@tideway/core'
import { errors } from './errors.js'

export interface ClientOptions {
  /** `http://127.0.0.1:4400`. */
  readonly url: string
  readonly apiKey?: string
  /** For the headers of an answer to arrive; an upload counts until its answer. Default 60,000; 0 waits for ever. */
  readonly timeoutMs?: number
  /** Default: the global one. */
  readonly fetch?: typeof fetch
}

export interface RequestOptions {
  readonly method?: string
  /** Sent as JSON. */
  readonly json?: unknown
  readonly octets?: BodyInit
  readonly query?: Readonly<Record<string, string | number | undefined>>
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
}

/** One way to the cloud; every failure is a `TidewayError` with a code. */
export interface Http {
  readonly url: string
  /**
   * The response if its status is 2xx, or one of `also`. Throws the cloud's own error, `CLOUD_UNREACHABLE`,
   * `CLOUD_TIMEOUT`, `CLOUD_ANSWER_INVALID`, or the signal's reason.
   */
  readonly send: (path: string, options?: RequestOptions, also?: readonly number[]) => Promise<Response>
  /** As `send`, with the JSON of the answer. The cloud is trusted to answer in the shapes that it documents. */
  readonly json: <T>(path: string, options?: RequestOptions) => Promise<T>
  /** As `send`, with the body and headers of the answer. */
  readonly bytes: (path: string, options?: RequestOptions) => Promise<{ bytes: Uint8Array; headers: Headers }>
}

/** Joins segments into a path, each encoded, so that no id can leave its place. */
export function path(...segments: readonly (string | number)[]): string {
  return `/${segments.map((segment) => encodeURIComponent(segment)).join('/')}`
}

export function createHttp(options: ClientOptions): Http {
  const base = baseOf(options.url)
  const request = options.fetch ?? globalThis.fetch.bind(globalThis)
  const defaultTimeoutMs = options.timeoutMs ?? 60_000

  async function send(at: string, given: RequestOptions = {}, also: readonly number[] = []): Promise<Response> {
    const headers = new Headers(given.headers)
    if (options.apiKey) headers.set('Authorization', `Bearer ${options.apiKey}`)
    if (given.json !== undefined) headers.set('Content-Type', 'application/json')
    if (given.octets !== undefined) headers.set('Content-Type', 'application/octet-stream')
    const timeoutMs = given.timeoutMs ?? defaultTimeoutMs
    const limit = deadline(timeoutMs, given.signal)
    let response: Response
    try {
      const init: RequestInit & { duplex?: 'half' } = {
        method: given.method ?? 'GET',
        headers,
        body: given.json === undefined ? given.octets : JSON.stringify(given.json),
        signal: limit.signal,
        ...(given.octets instanceof ReadableStream && { duplex: 'half' }),
      }
      response = await request(base + at + queryOf(given.query), init)
    } catch (cause) {
      given.signal?.throwIfAborted()
      if (limit.expired()) throw errors.CLOUD_TIMEOUT({ url: base, timeoutMs }, cause)
      throw errors.CLOUD_UNREACHABLE({ url: base }, cause)
    } finally {
      limit.clear()
    }
    if (response.ok || also.includes(response.status)) return response
    throw await errorOf(response, base)
  }

  return {
    url: base,
    send,
    async json<T>(at: string, given?: RequestOptions): Promise<T> {
      const response = await send(at, given)
      const text = await bodyOf(() => response.text(), base, given?.signal)
      try {
        return JSON.parse(text) as T
      } catch (cause) {
        throw errors.CLOUD_ANSWER_INVALID({ url: base, status: response.status }, cause)
      }
    },
    async bytes(at, given) {
      const response = await send(at, given)
      const buffer = await bodyOf(() => response.arrayBuffer(), base, given?.signal)
      return { bytes: new Uint8Array(buffer), headers: response.headers }
    },
  }
}

function baseOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') throw errors.CLOUD_URL_INVALID({ url: text })
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '')
}

function queryOf(query: RequestOptions['query'] = {}): string {
  const given = Object.entries(query).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]]))
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`
}

/** Aborts when the caller does or the time is up. Cleared once headers are there: bodies may stream for hours. */
function deadline(timeoutMs: number, signal?: AbortSignal) {
  const controller = new AbortController()
  let late = false
  const expire = () => {
    late = true
    controller.abort()
  }
  const timer = timeoutMs > 0 ? setTimeout(expire, timeoutMs) : undefined
  return {
    signal: signal ? AbortSignal.any([signal, controller.signal]) : controller.signal,
    expired: () => late,
    clear: () => clearTimeout(timer),
  }
}

async function bodyOf<T>(read: () => Promise<T>, url: string, signal?: AbortSignal): Promise<T> {
  try {
    return await read()
  } catch (cause) {
    signal?.throwIfAborted()
    throw errors.CLOUD_UNREACHABLE({ url }, cause)
  }
}

/** `{error: {code, message, data}}`, or `{error: message, code}` from the inference routes. */
async function errorOf(response: Response, url: string): Promise<TidewayError> {
  const { status } = response
  let body: unknown
  try {
    body = JSON.parse(await bodyOf(() => response.text(), url))
  } catch (cause) {
    return errors.CLOUD_ANSWER_INVALID({ url, status }, cause)
  }
  if (isObject(body)) {
    const flat = { code: body.code, message: body.error, data: undefined }
    const { code, message, data } = isObject(body.error) ? body.error : flat
    if (typeof code === 'string' && typeof message === 'string')
      return new TidewayError(code, message, isObject(data) ? data : retryAfter(response), status)
  }
  return errors.CLOUD_ANSWER_INVALID({ url, status })
}

/** The inference routes say no more of an error than this. */
function retryAfter({ headers }: Response): { readonly retryAfterMs?: number } {
  const seconds = Number(headers.get('retry-after') ?? Number.NaN)
  return Number.isFinite(seconds) ? { retryAfterMs: seconds * 1_000 } : {}
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
