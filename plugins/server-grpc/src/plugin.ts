import { definePlugin, tokens } from '@tideway/core'
import type { Listener } from './listen.js'
import { optionsSchema } from './options.js'
import { servicesOf } from './services.js'

/**
 * The cloud's gRPC face: the Open Inference Protocol v2. Takes whatever is provided when the host starts, so register it last.
 *
 * @example
 * host.use(serving(), serverGrpc({ port: 0 }))
 * await host.start()
 * host.get(tokens.grpcServer).url // grpc://127.0.0.1:49152
 */
export const serverGrpc = definePlugin({
  name: '@tideway/server-grpc',
  host: '^0.1.0',
  provides: [tokens.grpcServer],
  options: optionsSchema,
  register(scope, options) {
    let listener: Listener | undefined
    scope.provide(tokens.grpcServer, () => ({
      get url() {
        return listener?.url
      },
    }))
    return {
      async start() {
        // gRPC's library takes a tenth of a second to load, which a process without this door need not spend.
        const { listen } = await import('./listen.js')
        listener = await listen(servicesOf(scope), options)
      },
      async stop() {
        await listener?.stop()
        listener = undefined
      },
    }
  },
})
