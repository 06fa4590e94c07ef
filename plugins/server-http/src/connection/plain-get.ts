import type { Socket } from 'node:net'
import type { Exchange } from './exchange.js'

/** All routes, as Hono has them. */
export type Fetch = (request: Request, env: { readonly socket: Socket }) => Response | Promise<Response>

/** Of the inference protocol: health, metadata, statistics. None of them is a stream. */
const PATH = /^\/v2(?:\/[\w-][\w.-]*)*$/
/** A name or an address, with a port or without. */
const HOST = /^(?:[\w-]+(?:\.[\w-]+)*|\[[\da-f:]+\])(?::\d{1,5})?$/i
/** Said by who writes to it. */
const OF_THE_CONNECTION = new Set(['connection', 'content-length'])

/**
 * What clients ask ahead of inference, on the same connection: whether the server is ready, and what a model takes. Answered
 * where it is, by the routes that answer it elsewhere, so that the connection stays with the reader of inference. Says whether
 * a request is one of these: anything written unusually is not.
 */
export function plainGets(routes: () => Promise<Fetch>): (exchange: Exchange) => boolean {
  const answer = async (exchange: Exchange, url: string): Promise<void> => {
    const { headers, socket } = exchange
    try {
      const fetch = await routes()
      const response = await fetch(new Request(url, { headers: headers as Record<string, string> }), { socket })
      const body = await response.text()
      const names = [...response.headers].filter(([name]) => !OF_THE_CONNECTION.has(name)).flat()
      exchange.answer(response.status, names, body)
    } catch {
      // The routes answer all errors of their own: this one came of the connection.
      exchange.destroy()
    }
  }
  return (exchange) => {
    const { method, url, headers } = exchange
    if (method !== 'GET' || !PATH.test(url) || !HOST.test(headers.host ?? '')) return false
    const whole = `http://${headers.host}${url}`
    if (!URL.canParse(whole)) return false
    void answer(exchange, whole)
    return true
  }
}
