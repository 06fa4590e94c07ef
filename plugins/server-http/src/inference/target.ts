import { idSchema, narrow } from '@tideway/core'
import type { Context } from 'hono'
import { z } from 'zod'
import type { AppEnv } from '../http/route.js'
import { versionOrAlias } from '../schemas.js'

/** What a path of the protocol names. */
export interface Target {
  readonly model: string
  /** A number, or one of the model's aliases; without it the alias `latest` is meant. */
  readonly version?: string
}

export const targetSchema = z.object({ model: idSchema, version: versionOrAlias.optional() })

/** Names are looked up in the registry, and never made into paths of files. Throws `INPUT_REJECTED`. */
export function targetOf(c: Context<AppEnv>): Target {
  return narrow(targetSchema, c.req.param(), 'the path')
}
