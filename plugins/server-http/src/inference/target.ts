import type { InferTarget } from '@tideway/core'
import { targetIn } from '@tideway/core/serving'
import type { Context } from 'hono'
import type { AppEnv } from '../http/route.js'

/** What a path of the protocol names. Throws `INPUT_REJECTED`. */
export function targetOf(c: Context<AppEnv>): InferTarget {
  return targetIn(c.req.param(), 'the path')
}
