import { type InferTarget, inferTargetSchema, narrow } from '@tideway/core'
import type { Context } from 'hono'
import type { AppEnv } from '../http/route.js'

/** What a path of the protocol names. Throws `INPUT_REJECTED`. */
export function targetOf(c: Context<AppEnv>): InferTarget {
  return narrow(inferTargetSchema, c.req.param(), 'the path')
}
