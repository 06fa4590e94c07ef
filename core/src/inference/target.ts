import { z } from 'zod'
import { idSchema } from '../nouns/names.js'

/** What a request of the protocol is for. */
export interface InferTarget {
  readonly model: string
  /** A number, or one of the model's aliases; without it the alias `latest` is meant. */
  readonly version?: string
}

/** A version of a model as people name it: its number, or an alias. */
export const versionOrAliasSchema = z.union([idSchema, z.string().regex(/^[1-9]\d{0,8}$/)])

/** Names are looked up in the registry, and never made into paths of files. */
export const inferTargetSchema = z.object({ model: idSchema, version: versionOrAliasSchema.optional() })
