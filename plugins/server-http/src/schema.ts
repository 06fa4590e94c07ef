import { type HttpLimits, httpLimitsSchema, requestLogs } from '@tideway/core'
import { z } from 'zod'
import { isAddressRange } from './http/address.js'
import { limitDefaults, optionDefaults } from './options.js'

/** Nothing optional: what is left out is as usual. */
export const limitsSchema = httpLimitsSchema.transform(
  (limits): HttpLimits =>
    Object.assign(
      {},
      limitDefaults,
      Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== undefined)),
    ),
)

/** What a configuration says of the HTTP server, narrowed. */
export const optionsSchema = z.strictObject({
  host: z.string().min(1).default(optionDefaults.host),
  port: z.int().min(0).max(65_535).default(optionDefaults.port),
  logRequests: z.enum(requestLogs).default(optionDefaults.logRequests),
  stickyHeader: z
    .string()
    .regex(/^[A-Za-z0-9-]{1,64}$/, 'must be the name of a header')
    .transform((name) => name.toLowerCase())
    .default(optionDefaults.stickyHeader),
  cors: z
    .strictObject({
      origins: z
        .array(
          z
            .string()
            .refine((text) => text === '*' || isOrigin(text), 'must be * or an origin, as https://app.example.com'),
        )
        .readonly()
        .default(optionDefaults.cors.origins),
      maxAgeSeconds: z.int().min(0).max(86_400).default(optionDefaults.cors.maxAgeSeconds),
    })
    .prefault({}),
  trustedProxies: z
    .array(z.string().refine(isAddressRange, 'must be an address, or a range as 10.0.0.0/8'))
    .readonly()
    .default(optionDefaults.trustedProxies),
  limits: limitsSchema.prefault({}),
})

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text && !text.includes('*')
}
