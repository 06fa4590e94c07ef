import { hostname } from 'node:os'
import { createClient } from '@tideway/client'
import { definePlugin, type Scope, tokens, type Unsubscribe } from '@tideway/core'
import { z } from 'zod'
import { cloudErrors } from '../errors.js'
import { startTrainerNode } from '../trainer/node.js'

/** A trainer node inside the cloud process: it works as one elsewhere does, over HTTP: another cloud's, or its own. */
export const trainerRole = definePlugin({
  name: 'trainer-node',
  options: z.strictObject({ cloudUrl: z.string().optional(), apiKey: z.string().optional() }),
  needs: [tokens.jobQueue, tokens.trainer, tokens.quantizer, tokens.runtime, tokens.logger],
  register(scope, { cloudUrl, apiKey }) {
    if (cloudUrl === undefined && !scope.has(tokens.server))
      throw cloudErrors.TRAINER_INCOMPLETE({ missing: ['--cloud URL'] })
    let stop: Unsubscribe | undefined
    return {
      async start() {
        const url = cloudUrl ?? scope.get(tokens.server).url ?? ''
        const key = cloudUrl === undefined ? ownKey(scope) : apiKey
        stop = await startTrainerNode({
          name: `${hostname()}-${process.pid}`,
          queue: scope.get(tokens.jobQueue),
          client: createClient({ url, ...(key !== undefined && { apiKey: key }) }),
          trainer: scope.get(tokens.trainer),
          quantizer: scope.get(tokens.quantizer),
          runtime: scope.get(tokens.runtime),
          logger: scope.get(tokens.logger),
        })
      },
      stop: () => stop?.(),
    }
  },
})

/** With which parts of this process ask its own server. */
function ownKey(scope: Scope): string | undefined {
  return scope.has(tokens.access) ? scope.get(tokens.access).processKey : undefined
}
