import { randomUUID } from 'node:crypto'
import type { Logger } from '@tideway/core'
import { codeOf, errors, TidewayError } from '@tideway/core/serving'
import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'

/** The request that failed. */
export interface FailedRequest {
  readonly method: string
  readonly path: string
  readonly requestId?: string | undefined
}

/** An answer to what failed, whoever writes it to the wire. */
export interface FailureReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: object
}

/**
 * What an error is answered with: `{error: {code, message, data}}`, or for the Open Inference Protocol, whose `error` is a
 * string, `{error: message, code}`. What is not ours becomes `INTERNAL` with a request id and nothing else.
 */
export function failureReply(thrown: unknown, at: FailedRequest, logger: Logger): FailureReply {
  const error = isOurs(thrown) ? thrown : internal(thrown, at, logger)
  const headers: Record<string, string> = {}
  const challenge = challengeOf(error)
  if (challenge !== undefined) headers['WWW-Authenticate'] = challenge
  // No "Connection: close" for a body that was not read to its end: Node would close at once, and the reset that follows
  // what still arrives can reach the sender before this answer. It is drained for 500 ms, then closed.
  if (error.code === 'RANGE_NOT_SATISFIABLE') headers['Content-Range'] = `bytes */${String(error.data.size)}`
  // RFC 9110, 10.2.3: whole seconds.
  const { retryAfterMs } = (error.data ?? {}) as { retryAfterMs?: unknown }
  if (typeof retryAfterMs === 'number') headers['Retry-After'] = String(Math.max(1, Math.ceil(retryAfterMs / 1000)))
  if (error.code === 'METHOD_NOT_ALLOWED') headers.Allow = String(error.data.allow)
  const body = at.path.startsWith('/v2')
    ? { error: error.message, code: error.code }
    : { error: { code: error.code, message: error.message, data: error.data } }
  return { status: error.status, headers, body }
}

export function answerError(thrown: unknown, c: Context, logger: Logger): Response {
  const { status, headers, body } = failureReply(thrown, requestOf(c), logger)
  return c.json(body, status as ContentfulStatusCode, { ...headers })
}

function requestOf(c: Context): FailedRequest {
  return { method: c.req.method, path: c.req.path, requestId: c.get('requestId') as string | undefined }
}

const OUT_OF_SCOPE: ReadonlySet<string> = new Set(['MODEL_FORBIDDEN', 'DEVICE_FORBIDDEN', 'ALL_MODELS_REQUIRED'])

/** RFC 6750, section 3: nothing is said of an error to who sent no credentials. */
function challengeOf({ status, code, data }: TidewayError): string | undefined {
  const realm = 'Bearer realm="tideway"'
  if (status === 401)
    return data.given === false ? realm : `${realm}, error="invalid_token", error_description="${code}"`
  if (code === 'ROLE_REQUIRED') {
    const { roles } = data as { roles: readonly string[] }
    return `${realm}, error="insufficient_scope", scope="${roles.join(' ')}"`
  }
  return OUT_OF_SCOPE.has(code) ? `${realm}, error="insufficient_scope"` : undefined
}

function isOurs(thrown: unknown): thrown is TidewayError {
  return thrown instanceof TidewayError || codeOf(thrown) !== undefined
}

function internal(thrown: unknown, at: FailedRequest, logger: Logger): TidewayError {
  const { method, path, requestId = randomUUID() } = at
  const cause = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
  logger.error('request failed', { requestId, method, path, cause })
  return errors.INTERNAL({ requestId })
}
