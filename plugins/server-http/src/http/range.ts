import type { Context } from 'hono'
import { errors } from '../errors.js'

/** First and last byte, both included. */
export interface ByteRange {
  readonly first: number
  readonly last: number
}

/**
 * The one range asked for, after RFC 9110 section 14: undefined (send all) without a Range header, and where one must
 * or may be ignored: another unit, bad syntax, several ranges, an If-Range that is not this entity. Throws
 * `RANGE_NOT_SATISFIABLE`.
 */
export function requestedRange(c: Context, size: number, etag: string): ByteRange | undefined {
  const ifRange = c.req.header('if-range')
  if (ifRange !== undefined && ifRange !== etag) return undefined
  const match = /^bytes=(\d*)-(\d*)$/.exec(c.req.header('range')?.trim() ?? '')
  if (!match) return undefined
  const [, from, to] = match as unknown as [string, string, string]
  if (from === '' && to === '') return undefined
  if (from === '') {
    if (Number(to) === 0 || size === 0) throw errors.RANGE_NOT_SATISFIABLE({ size })
    return { first: Math.max(0, size - Number(to)), last: size - 1 }
  }
  if (to !== '' && Number(to) < Number(from)) return undefined
  if (Number(from) >= size) throw errors.RANGE_NOT_SATISFIABLE({ size })
  return { first: Number(from), last: to === '' ? size - 1 : Math.min(Number(to), size - 1) }
}

/** Does If-None-Match name this entity? */
export function notModified(c: Context, etag: string): boolean {
  const given = c.req.header('if-none-match')
  return (
    given !== undefined &&
    (given.trim() === '*' || given.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag))
  )
}
