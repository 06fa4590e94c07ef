import { definePlugin, nullMetrics, resolveServing, Statistics, servingConfigSchema, tokens } from '@tideway/core'
import { createStoredServing } from '../serving/stored-service.js'

/** Online inference of what is in the store of this process, with its traffic policies. */
export const serving = definePlugin({
  name: 'serving',
  options: servingConfigSchema,
  provides: [tokens.serving, tokens.traffic, tokens.statistics],
  needs: [tokens.registry, tokens.chunkStore, tokens.trafficStore, tokens.runtime, tokens.logger],
  wants: [tokens.metrics],
  register(scope, options) {
    const metrics = () => (scope.has(tokens.metrics) ? scope.get(tokens.metrics) : nullMetrics)
    const service = createStoredServing(resolveServing(options), {
      registry: () => scope.get(tokens.registry),
      chunks: () => scope.get(tokens.chunkStore),
      trafficStore: () => scope.get(tokens.trafficStore),
      runtime: () => scope.get(tokens.runtime),
      logger: () => scope.get(tokens.logger),
      metrics,
    })
    // Of every door to these models together.
    scope.provide(tokens.statistics, () => new Statistics(metrics(), service.loaded))
    scope.provide(tokens.traffic, () => service.traffic)
    scope.provide(tokens.serving, () => service.serving)
    return { start: () => service.start(), stop: () => service.stop() }
  },
})
