import { randomUUID } from 'node:crypto'
import { codeOf, type Logger, TidewayError } from '@tideway/core'
import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { errors } from '../errors.js'

/**
 * Answers an error: `{error: {code, message, data}}`, or for the Open Inference Protocol, whose `error` is a string,
 * `{error: message, code}`. What is not ours becomes `INTERNAL` with a request id and nothing else.
 */
export function answerError(thrown: unknown, c: Context, logger: Logger): Response {
  const error = isOurs(thrown) ? thrown : internal(thrown, c, logger)
  if (error.status === 401) c.header('WWW-Authenticate', 'Bearer realm="tideway"')
  // No "Connection: close" for a body that was not read to its end: Node would close at once, and the reset that follows
  // what still arrives can reach the sender before this answer. The adapter drains it for 500 ms, then closes.
  if (error.code === 'RANGE_NOT_SATISFIABLE') c.header('Content-Range', `bytes */${String(error.data.size)}`)
  // RFC 9110, 10.2.3: whole seconds.
  const { retryAfterMs } = (error.data ?? {}) as { retryAfterMs?: unknown }
  if (typeof retryAfterMs === 'number') c.header('Retry-After', String(Math.max(1, Math.ceil(retryAfterMs / 1000))))
  if (error.code === 'METHOD_NOT_ALLOWED') c.header('Allow', String(error.data.allow))
  const body = c.req.path.startsWith('/v2')
    ? { error: error.message, code: error.code }
    : { error: { code: error.code, message: error.message, data: error.data } }
  return c.json(body, error.status as ContentfulStatusCode)
}

function isOurs(thrown: unknown): thrown is TidewayError {
  return thrown instanceof TidewayError || codeOf(thrown) !== undefined
}

function internal(thrown: unknown, c: Context, logger: Logger): TidewayError {
  const requestId = randomUUID()
  logger.error('request failed', {
    requestId,
    method: c.req.method,
    path: c.req.path,
    cause: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown),
  })
  return errors.INTERNAL({ requestId })
}
