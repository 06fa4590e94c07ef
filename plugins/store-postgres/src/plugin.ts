import { definePlugin, tokens } from '@tideway/core'
import { optionsSchema } from './options.js'
import { storeOf } from './store.js'

/**
 * The store as a plugin: gives every facet. Opened when the host starts (see `openStore`); used before, or after the
 * host stopped, a facet throws `STORE_UNAVAILABLE`.
 *
 * @example
 * defineConfig({ plugins: [storePostgres({ url: process.env.DATABASE_URL, chunksDir: '/var/lib/tideway/chunks' })] })
 */
export const storePostgres = definePlugin({
  name: 'store-postgres',
  host: '^0.1.0',
  provides: [
    tokens.registry,
    tokens.chunkStore,
    tokens.deviceStore,
    tokens.reportStore,
    tokens.runStore,
    tokens.jobStore,
    tokens.auditLog,
    tokens.trafficStore,
    tokens.abTestStore,
    tokens.keyStore,
  ],
  options: optionsSchema,
  register(scope, options) {
    const store = storeOf(options)
    scope.provide(tokens.registry, () => store.registry)
    scope.provide(tokens.chunkStore, () => store.chunkStore)
    scope.provide(tokens.deviceStore, () => store.deviceStore)
    scope.provide(tokens.reportStore, () => store.reportStore)
    scope.provide(tokens.runStore, () => store.runStore)
    scope.provide(tokens.jobStore, () => store.jobStore)
    scope.provide(tokens.auditLog, () => store.auditLog)
    scope.provide(tokens.trafficStore, () => store.trafficStore)
    scope.provide(tokens.abTestStore, () => store.abTestStore)
    scope.provide(tokens.keyStore, () => store.keyStore)
    return { start: () => store.open(), stop: () => store.close() }
  },
})
