import { z } from 'zod'
import { idSchema } from '../nouns/names.js'
import { NUMBER } from './target.js'

/** A version of a model as people name it: its number, or an alias. */
export const versionOrAliasSchema = z.union([idSchema, z.string().regex(NUMBER)])

/** As `targetIn`, for what is narrowed with more around it. */
export const inferTargetSchema = z.object({ model: idSchema, version: versionOrAliasSchema.optional() })
