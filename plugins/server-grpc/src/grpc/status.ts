import { Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { codeOf, errors, type Logger, type TidewayError } from '@tideway/core'

/** What a call ends with when it fails. */
export type Failure = Pick<ServiceError, 'code' | 'details' | 'metadata'>

/** Where the code of an error stands in the trailing metadata. */
export const CODE_KEY = 'tideway-code'

/**
 * For how long a client is to wait before it tries again, in milliseconds: retry policies of gRPC's clients keep to it
 * (grpc/proposal, A6-client-retries.md, "Pushback").
 */
export const PUSHBACK_KEY = 'grpc-retry-pushback-ms'

/** In the metadata of a call, if its client has an id for it, and in the trailing metadata of its answer. */
export const REQUEST_ID_KEY = 'x-request-id'

/** Codes whose HTTP status does not tell the one of gRPC. */
const BY_CODE: Readonly<Record<string, status>> = {
  // It may be loaded again, as it may be elsewhere; 404 of HTTP is what Triton answers there.
  MODEL_UNLOADED: status.UNAVAILABLE,
  TOO_LARGE: status.RESOURCE_EXHAUSTED,
  SESSION_DISPOSED: status.UNAVAILABLE,
}

/** gRPC's statuses by those of HTTP (googleapis, google/rpc/code.proto has the mapping); others are `INTERNAL`. */
const BY_HTTP: Readonly<Record<number, status>> = {
  400: status.INVALID_ARGUMENT,
  401: status.UNAUTHENTICATED,
  403: status.PERMISSION_DENIED,
  404: status.NOT_FOUND,
  408: status.DEADLINE_EXCEEDED,
  409: status.FAILED_PRECONDITION,
  413: status.RESOURCE_EXHAUSTED,
  422: status.INVALID_ARGUMENT,
  429: status.RESOURCE_EXHAUSTED,
  499: status.CANCELLED,
  501: status.UNIMPLEMENTED,
  503: status.UNAVAILABLE,
  504: status.DEADLINE_EXCEEDED,
  507: status.RESOURCE_EXHAUSTED,
}

/** The status of gRPC for an error of ours. */
export function statusOf({ code, status: http }: Pick<TidewayError, 'code' | 'status'>): status {
  return BY_CODE[code] ?? BY_HTTP[http] ?? status.INTERNAL
}

/** A call that failed. */
export interface FailedCall {
  readonly path: string
  readonly requestId: string
}

/** What is thrown as a TidewayError; what is none of ours becomes `INTERNAL`, logged under the id of its call. */
export function ours(thrown: unknown, { path, requestId }: FailedCall, logger: Logger): TidewayError {
  if (codeOf(thrown) !== undefined) return thrown as TidewayError
  const cause = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
  logger.error('request failed', { requestId, path, cause })
  return errors.INTERNAL({ requestId })
}

/** What a call is answered with for an error of ours: its message, its code, its id, and when to come again. */
export function failureOf(error: TidewayError, requestId: string): Failure {
  const metadata = trailerOf(requestId)
  metadata.set(CODE_KEY, error.code)
  const { retryAfterMs } = (error.data ?? {}) as { retryAfterMs?: unknown }
  if (typeof retryAfterMs === 'number') metadata.set(PUSHBACK_KEY, String(Math.ceil(retryAfterMs)))
  return { code: statusOf(error), details: asDetails(error.message), metadata }
}

/** Trailing metadata that tell the id of a call. */
export function trailerOf(requestId: string): Metadata {
  const trailer = new Metadata()
  trailer.set(REQUEST_ID_KEY, requestId)
  return trailer
}

/** Percent signs and all, in bytes: clients take 8 KiB of metadata by default. */
const MAX_DETAILS_BYTES = 4_096

/** A message as it may stand in a header: well formed, which the percent encoding asks for, and not too long. */
export function asDetails(message: string): string {
  const formed = message.replaceAll(/\p{Surrogate}/gu, '\ufffd')
  if (encodeURI(formed).length <= MAX_DETAILS_BYTES) return formed
  let [end, bytes] = [0, 0]
  for (const character of formed) {
    bytes += encodeURI(character).length
    if (bytes > MAX_DETAILS_BYTES - '%E2%80%A6'.length) break
    end += character.length
  }
  return `${formed.slice(0, end)}…`
}
