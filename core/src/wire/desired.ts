import { z } from 'zod'
import { idSchema, sha256Schema } from '../nouns/names.js'

export const desiredModelSchema = z.looseObject({
  version: z.int().positive(),
  manifestDigest: sha256Schema,
  /** A variant id that the operator insists on; the device chooses when left out. */
  variant: z.string().optional(),
})

/** What a device should run. `generation` only rises, also when going back to an older version. */
export const desiredSchema = z.looseObject({
  v: z.literal(1),
  generation: z.int().positive(),
  models: z.record(idSchema, desiredModelSchema),
  issuedAt: z.iso.datetime(),
  expiresAt: z.iso.datetime().optional(),
})

export type DesiredModel = z.infer<typeof desiredModelSchema>
export type DesiredState = z.infer<typeof desiredSchema>
