import { requestLogs } from '@tideway/core'
import { z } from 'zod'

const bytes = z.int().positive()
const milliseconds = z.int().positive()

export const limitsSchema = z.strictObject({
  /** Of one message of inference, after decompression: as much as the HTTP face takes by default. */
  maxInferMessageBytes: bytes.default(32 * 1024 ** 2),
  /** Of one message of any other method. */
  maxMessageBytes: bytes.default(64 * 1024),
  /** On one connection; a client holds further ones back. */
  maxConcurrentCalls: z.int().positive().default(1_000),
  /** Requests of one stream that run at once, whose answers go back in order; further ones wait unread. */
  maxStreamRequests: z.int().positive().default(8),
  /** Between two pings on a connection that is silent, by which one that is dead is found. */
  keepaliveMs: milliseconds.default(60_000),
  /** For calls in flight when the server stops; what is left then is cut. */
  stopGraceMs: milliseconds.default(10_000),
})

const file = z.string().min(1)

/** Paths of files in PEM. With `ca`, clients must show a certificate that it signed. */
export const tlsSchema = z.strictObject({ cert: file, key: file, ca: file.optional() })

export const optionsSchema = z.strictObject({
  /** Addresses other than loopback may be bound where credentials are asked for. */
  host: z.string().min(1).default('127.0.0.1'),
  /** 0 takes a free one; the default is where Triton listens. */
  port: z.int().min(0).max(65_535).default(8001),
  tls: tlsSchema.optional(),
  /** Which calls are logged, as requests are over HTTP. */
  logRequests: z.enum(requestLogs).default('changes'),
  /** Metadata whose value keeps calls with the same version while a traffic policy stands, as the header does over HTTP. */
  stickyHeader: z
    .string()
    .regex(/^[A-Za-z0-9-]{1,64}$/, 'must be the name of a header')
    .transform((name) => name.toLowerCase())
    .default('x-tideway-key'),
  limits: limitsSchema.prefault({}),
})

export type GrpcLimits = z.output<typeof limitsSchema>
export type ServerGrpcOptions = z.output<typeof optionsSchema>
