import { z } from 'zod'

/** Each is enforced while the bytes arrive, so that no request makes the process hold more. */
export interface HttpLimits {
  readonly maxJsonBodyBytes: number
  /** Batches of images as JSON numbers are large. */
  readonly maxInferBodyBytes: number
  readonly maxBlobBytes: number
  /**
   * A body that stops arriving for so long is given up, as is an answer that stops being taken: a slow client may take hours, a
   * silent one may not.
   */
  readonly bodyIdleMs: number
  readonly headersTimeoutMs: number
  /** For one whole request to arrive; long enough for `maxBlobBytes` over a slow line. */
  readonly requestTimeoutMs: number
  readonly keepAliveTimeoutMs: number
  /** Between two comments on a stream of events, so that proxies keep it open. */
  readonly heartbeatMs: number
  /** For requests in flight when the server stops; what is left then is cut. */
  readonly stopGraceMs: number
}

const bytes = z.int().positive()
/** What Node's timers can hold. */
const milliseconds = z
  .int()
  .positive()
  .max(2 ** 31 - 1)

/** What is left out is as the HTTP server has it. */
export const httpLimitsSchema = z
  .strictObject({
    maxJsonBodyBytes: bytes,
    maxInferBodyBytes: bytes,
    maxBlobBytes: bytes,
    bodyIdleMs: milliseconds,
    headersTimeoutMs: milliseconds,
    requestTimeoutMs: milliseconds,
    keepAliveTimeoutMs: milliseconds,
    heartbeatMs: milliseconds,
    stopGraceMs: milliseconds,
  } satisfies Record<keyof HttpLimits, z.ZodType>)
  .partial()
