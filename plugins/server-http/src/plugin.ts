import { definePlugin, tokens } from '@tideway/core'
import { type Listener, listen } from './listen.js'
import { optionsSchema } from './schema.js'
import { servicesOf } from './services.js'

/**
 * The cloud's HTTP face. Takes whatever is provided when the host starts, so register it last.
 *
 * @example
 * host.use(storePostgres(), serverHttp({ port: 0 }))
 * await host.start()
 * host.get(tokens.server).url // http://127.0.0.1:49152
 */
export const serverHttp = definePlugin({
  name: '@tideway/server-http',
  host: '^0.1.0',
  provides: [tokens.server],
  options: optionsSchema,
  register(scope, options) {
    let listener: Listener | undefined
    scope.provide(tokens.server, () => ({
      get url() {
        return listener?.url
      },
    }))
    return {
      async start() {
        listener = await listen(servicesOf(scope), options)
      },
      async stop() {
        await listener?.stop()
        listener = undefined
      },
    }
  },
})
