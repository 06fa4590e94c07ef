import { requestLogs, limits as wireLimits } from '@tideway/core'
import { z } from 'zod'
import { isAddressRange } from './http/address.js'

const bytes = z.int().positive()
const milliseconds = z.int().positive()

/** Each is enforced while the bytes arrive, so that no request makes the process hold more. */
export const limitsSchema = z.strictObject({
  maxJsonBodyBytes: bytes.default(wireLimits.maxJsonBodyBytes),
  /** Batches of images as JSON numbers are large. */
  maxInferBodyBytes: bytes.default(32 * 1024 ** 2),
  maxBlobBytes: bytes.default(wireLimits.maxBlobBytes),
  /** A body that stops arriving for so long is given up: a slow sender may take hours, a silent one may not. */
  bodyIdleMs: milliseconds.default(30_000),
  headersTimeoutMs: milliseconds.default(20_000),
  /** For one whole request to arrive; long enough for `maxBlobBytes` over a slow line. */
  requestTimeoutMs: milliseconds.default(4 * 3_600_000),
  keepAliveTimeoutMs: milliseconds.default(65_000),
  /** Between two comments on a stream of events, so that proxies keep it open. */
  heartbeatMs: milliseconds.default(15_000),
  /** For requests in flight when the server stops; what is left then is cut. */
  stopGraceMs: milliseconds.default(10_000),
})

/** Whose value keeps requests with the same version, where none other is configured. */
export const STICKY_HEADER = 'x-tideway-key'

export const optionsSchema = z.strictObject({
  host: z.string().min(1).default('127.0.0.1'),
  /** 0 takes a free one. */
  port: z.int().min(0).max(65_535).default(4400),
  /** Which requests get a line in the log. */
  logRequests: z.enum(requestLogs).default('changes'),
  /** Whose value keeps requests with the same version while a traffic policy stands: of a user, a session, a device. */
  stickyHeader: z
    .string()
    .regex(/^[A-Za-z0-9-]{1,64}$/, 'must be the name of a header')
    .transform((name) => name.toLowerCase())
    .default(STICKY_HEADER),
  /** Pages of which origins may read answers: none, until it is configured. */
  cors: z
    .strictObject({
      origins: z
        .array(
          z
            .string()
            .refine((text) => text === '*' || isOrigin(text), 'must be * or an origin, as https://app.example.com'),
        )
        .readonly()
        .default([]),
      maxAgeSeconds: z.int().min(0).max(86_400).default(600),
    })
    .prefault({}),
  /** Whose X-Forwarded-For is believed, for the audit log: addresses, or ranges as 10.0.0.0/8. */
  trustedProxies: z
    .array(z.string().refine(isAddressRange, 'must be an address, or a range as 10.0.0.0/8'))
    .readonly()
    .default([]),
  limits: limitsSchema.prefault({}),
})

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text && !text.includes('*')
}

export type ServerLimits = z.output<typeof limitsSchema>
export type ServerHttpOptions = z.output<typeof optionsSchema>
