import { ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js'
import type { Logger } from '@tideway/core'
import type { Admit } from './access.js'
import { failureOf, ours } from './status.js'

/** Asks who calls before anything of the call's messages is read. */
export function admitting(admit: Admit, logger: Logger): ServerInterceptor {
  return ({ path }, call) => {
    const intercepting: ServerInterceptingCall = new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMetadata(metadata, proceed) {
            try {
              const [authorization] = metadata.get('authorization')
              admit({ path, authorization: authorization?.toString() })
            } catch (error) {
              intercepting.sendStatus(failureOf(ours(error, path, logger)))
              return
            }
            // Whatever comes behind has no use for it, and nothing may log it.
            metadata.remove('authorization')
            proceed(metadata)
          },
        })
      },
    })
    return intercepting
  }
}
