import type { Context } from 'hono'
import { notModified, requestedRange } from '../http/range.js'
import type { AppEnv, Deps } from '../http/route.js'

const binary = { 'application/octet-stream': { schema: { type: 'string' as const, format: 'binary' } } }

export const octetResponses = {
  200: { description: 'All bytes', content: binary },
  206: { description: 'The range asked for', content: binary },
  304: { description: 'Not modified' },
  416: { description: 'RANGE_NOT_SATISFIABLE' },
}

/**
 * Answers content that its digest names: it never changes, so the digest is a strong ETag and caches may keep it for
 * good (shared caches only where no key is needed to read it). Honours one range, If-Range and If-None-Match.
 */
export async function answerBytes(
  c: Context<AppEnv>,
  { secured }: Deps,
  entity: { sha256: string; size: number },
  bytes: (first: number, last: number) => Uint8Array | Promise<ReadableStream<Uint8Array>>,
): Promise<Response> {
  const etag = `"${entity.sha256}"`
  const headers: Record<string, string> = {
    ETag: etag,
    'Accept-Ranges': 'bytes',
    'Cache-Control': `${secured ? 'private' : 'public'}, max-age=31536000, immutable`,
    'Content-Type': 'application/octet-stream',
    'X-Content-Type-Options': 'nosniff',
  }
  if (notModified(c, etag)) return c.body(null, 304, headers)
  const range = requestedRange(c, entity.size, etag)
  const { first, last } = range ?? { first: 0, last: entity.size - 1 }
  if (range) headers['Content-Range'] = `bytes ${first}-${last}/${entity.size}`
  headers['Content-Length'] = String(last - first + 1)
  if (c.req.method === 'HEAD' || entity.size === 0) return c.body(null, range ? 206 : 200, headers)
  return new Response((await bytes(first, last)) as BodyInit, { status: range ? 206 : 200, headers })
}
