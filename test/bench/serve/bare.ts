import { definePlugin, nullMetrics, openAccess, tokens } from '@tideway/core'
import { type Listener, listen, optionsSchema } from '@tideway/server-http'

/** Counts nothing, in place of what the cloud counts with. */
const uncounted = definePlugin({
  name: 'bench-no-metrics',
  provides: [tokens.metrics],
  register: (scope) => scope.provide(tokens.metrics, () => nullMetrics),
})

/** Lets everybody in, without looking. */
const open = definePlugin({
  name: 'bench-no-access',
  provides: [tokens.access],
  register: (scope) => scope.provide(tokens.access, () => openAccess),
})

/** The HTTP face over models alone: no access, metrics, traces, logs. */
const face = definePlugin({
  name: 'bench-bare-face',
  provides: [tokens.server],
  needs: [tokens.registry, tokens.serving],
  register(scope) {
    let listener: Listener | undefined
    scope.provide(tokens.server, () => ({
      get url() {
        return listener?.url
      },
    }))
    return {
      async start() {
        const services = { registry: scope.get(tokens.registry), serving: scope.get(tokens.serving) }
        listener = await listen(services, optionsSchema.parse({ port: 0 }))
      },
      stop: () => listener?.stop(),
    }
  },
})

/** In place of the cloud's own. */
export const bare = [uncounted(), open(), face()]
