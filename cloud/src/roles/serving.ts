import {
  definePlugin,
  nullMetrics,
  resolveServing,
  type Serving,
  Statistics,
  servingConfigSchema,
  tokens,
} from '@tideway/core'
import { ResponseCache } from '../serving/cache.js'
import { createServing } from '../serving/service.js'
import { storedModels } from '../serving/stored.js'
import { trafficControl } from '../traffic/control.js'

/** Online inference of what is in the store of this process, with its traffic policies. */
export const serving = definePlugin({
  name: 'serving',
  options: servingConfigSchema,
  provides: [tokens.serving, tokens.traffic, tokens.statistics],
  needs: [tokens.registry, tokens.chunkStore, tokens.trafficStore, tokens.runtime, tokens.logger],
  wants: [tokens.metrics],
  register(scope, options) {
    const config = resolveServing(options)
    const metrics = () => (scope.has(tokens.metrics) ? scope.get(tokens.metrics) : nullMetrics)
    const control = (around: Omit<Parameters<typeof trafficControl>[0], 'store'>) =>
      trafficControl({ ...around, store: () => scope.get(tokens.trafficStore) })
    const service = createServing(config, {
      registry: () => scope.get(tokens.registry),
      source: () => storedModels(scope.get(tokens.chunkStore), scope.get(tokens.runtime)),
      runtime: () => scope.get(tokens.runtime),
      logger: () => scope.get(tokens.logger),
      metrics,
      cache: config.cache && new ResponseCache(config.cache),
      control,
    })
    // Of every door to these models together.
    scope.provide(tokens.statistics, () => new Statistics(metrics()))
    scope.provide(tokens.traffic, () => service.control!.traffic)
    scope.provide(tokens.serving, (): Serving => service.serving)
    return { start: () => service.start(), stop: () => service.stop() }
  },
})
