import { STICKY_HEADER } from '../options.js'

export interface CorsOptions {
  /** `https://app.example.com`, or `*` for pages of all origins. None, as long as nothing is configured: no page of another origin reads an answer. */
  readonly origins: readonly string[]
  /** For how long a browser need not ask again. */
  readonly maxAgeSeconds: number
}

/** What pages of other origins may do (the Fetch Standard, "CORS protocol"). Credentials go in a header of their own, never in cookies. */
export interface Cors {
  /** Of every answer. */
  headers(origin: string | undefined): Readonly<Record<string, string>>
  /** Of the answer to OPTIONS with Access-Control-Request-Method; undefined for what is no such question, or is not allowed. */
  preflight(origin: string | undefined, method: string | undefined): Readonly<Record<string, string>> | undefined
}

const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE'
const TAKEN =
  'Authorization, Content-Type, Inference-Header-Content-Length, If-None-Match, If-Range, Range, X-Request-Id, Last-Event-ID'
const SHOWN =
  'ETag, Accept-Ranges, Content-Range, Inference-Header-Content-Length, Retry-After, WWW-Authenticate, X-Request-Id, X-Tideway-Version, X-Tideway-Unit'
const NOTHING: Readonly<Record<string, string>> = Object.freeze({})

/** `stickyHeader`: one more that pages may send. */
export function createCors({ origins, maxAgeSeconds }: CorsOptions, stickyHeader: string = STICKY_HEADER): Cors {
  const all = origins.includes('*')
  const listed = new Set(origins)
  // Caches must not give one origin's answer to another; also not the one without headers.
  const otherwise = origins.length === 0 || all ? NOTHING : Object.freeze({ Vary: 'Origin' })
  const headers = (origin: string | undefined) => {
    if (origin === undefined || !(all || listed.has(origin))) return otherwise
    const allowed = { 'Access-Control-Allow-Origin': all ? '*' : origin, 'Access-Control-Expose-Headers': SHOWN }
    return { ...otherwise, ...allowed }
  }
  return {
    headers,
    preflight(origin, method) {
      if (origin === undefined || method === undefined || !(all || listed.has(origin))) return undefined
      return {
        ...headers(origin),
        'Access-Control-Allow-Methods': METHODS,
        'Access-Control-Allow-Headers': `${TAKEN}, ${stickyHeader}`,
        'Access-Control-Max-Age': String(maxAgeSeconds),
      }
    },
  }
}
