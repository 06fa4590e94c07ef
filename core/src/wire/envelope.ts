import { z } from 'zod'
import { idSchema, sha256Schema } from '../nouns/names.js'

/**
 * What a device reports. (device, boot, seq) is the key that makes it count once: `boot` is new each time the agent
 * starts, `seq` counts from 1 within it. Unknown kinds are stored and counted.
 */
export const envelopeSchema = z.looseObject({
  v: z.literal(1),
  kind: z.string().min(1).max(63),
  device: idSchema,
  fleet: idSchema,
  boot: idSchema,
  seq: z.int().positive(),
  model: idSchema.optional(),
  manifestDigest: sha256Schema.optional(),
  /** Version of the body's schema. */
  schema: z.int().nonnegative(),
  from: z.iso.datetime(),
  to: z.iso.datetime(),
  sentAt: z.iso.datetime(),
  body: z.record(z.string(), z.unknown()),
})
export type Envelope = z.infer<typeof envelopeSchema>

/** The store has committed every sequence of this boot up to and including `seq`. */
export const ackSchema = z.looseObject({ v: z.literal(1), boot: idSchema, seq: z.int().nonnegative() })
export type Ack = z.infer<typeof ackSchema>

/** What a device says that it runs; the body of a `state` report and of `tideway.v1.reported.<fleet>.<device>`. */
export const reportedSchema = z.looseObject({
  v: z.literal(1),
  device: idSchema,
  fleet: idSchema,
  /** Generation of the desired state that this answers; 0 before the first. */
  generation: z.int().nonnegative(),
  models: z.record(
    idSchema,
    z.looseObject({
      status: z.enum(['fetching', 'verifying', 'active', 'failed']),
      /** Of what is active now, which on failure is still the version before. */
      manifestDigest: sha256Schema.optional(),
      version: z.int().positive().optional(),
      variant: z.string().optional(),
      /** sha256 of the active variant's model file. */
      variantDigest: sha256Schema.optional(),
      /** Code and message of what went wrong with the wanted version. */
      error: z
        .looseObject({ code: z.string(), message: z.string(), manifestDigest: sha256Schema.optional() })
        .optional(),
      bytesFetched: z.int().nonnegative().optional(),
    }),
  ),
  runtime: z.record(z.string(), z.unknown()).optional(),
  at: z.iso.datetime(),
})
export type ReportedState = z.infer<typeof reportedSchema>

export const presenceSchema = z.looseObject({ v: z.literal(1), online: z.boolean(), at: z.iso.datetime() })
export type Presence = z.infer<typeof presenceSchema>
