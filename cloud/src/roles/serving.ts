import { totalmem } from 'node:os'
import {
  definePlugin,
  type Metrics,
  nullMetrics,
  resolveServing,
  type Scope,
  type Serving,
  Statistics,
  servingConfigSchema,
  tokens,
  type VersionRecord,
} from '@tideway/core'
import { ResponseCache } from '../serving/cache.js'
import { loadVersion, sizeOf } from '../serving/load.js'
import { ServingMetrics } from '../serving/metrics.js'
import { ModelHost } from '../serving/model-host.js'
import { Runner } from '../serving/run.js'
import { Switcher } from '../serving/switcher.js'
import { VersionLookup } from '../serving/version-lookup.js'
import { trafficControl } from '../traffic/control.js'

/** Of the machine's memory, for files of loaded models: a session takes some more than its file. */
const MEMORY_SHARE = 1 / 4

/**
 * Online inference in the cloud: each version's preferred variant, loaded on first use. A request without a version goes
 * where the model's traffic policy says, one with a version or alias where that is; then it waits for a run.
 */
export const serving = definePlugin({
  name: 'serving',
  options: servingConfigSchema,
  provides: [tokens.serving, tokens.traffic, tokens.statistics],
  needs: [tokens.registry, tokens.chunkStore, tokens.trafficStore, tokens.runtime, tokens.logger],
  wants: [tokens.metrics],
  register(scope, options) {
    const config = resolveServing(options)
    const cache = config.cache && new ResponseCache(config.cache)
    const registry = () => scope.get(tokens.registry)
    const logger = () => scope.get(tokens.logger)
    const from = () => ({ chunks: scope.get(tokens.chunkStore), runtime: scope.get(tokens.runtime) })
    // The registry may be opened when the process starts, after this.
    let lookup: VersionLookup | undefined
    const resolve = (model: string, wanted: string) => (lookup ??= new VersionLookup(registry())).resolve(model, wanted)
    const host = new ModelHost({
      registry,
      load: (digest, onBatch) => loadVersion({ ...from(), cache, logger: logger() }, digest, config, onBatch),
      sizeOf: (digest) => sizeOf(from(), digest),
      metrics: () => metrics(),
      maxSessions: config.maxModels,
      maxBytes: config.maxModelBytes ?? totalmem() * MEMORY_SHARE,
    })
    const switcher = new Switcher({
      load: (version) => host.session(version),
      isReady: (version) => host.isReady(version),
      logger,
      metrics: () => metrics(),
    })
    let counted: ServingMetrics | undefined
    const metrics = () =>
      (counted ??= new ServingMetrics(
        metricsOf(scope),
        () => host.loaded(),
        () => cache?.totals,
      ))
    const answeredBy = (wanted: string, version: VersionRecord) =>
      /^\d+$/.test(wanted) ? version : switcher.answering(wanted, version)
    const answering = async (model: string, wanted: string) => answeredBy(wanted, await resolve(model, wanted))
    /** The same without a promise, where it is known. */
    const answeringNow = (model: string, wanted: string) => {
      const version = lookup?.known(model, wanted)
      return version && answeredBy(wanted, version)
    }

    const runner = new Runner(host)
    const control = trafficControl({
      registry,
      store: () => scope.get(tokens.trafficStore),
      logger,
      host,
      runner,
      resolve,
      latest: (model) => answering(model, 'latest'),
    })

    const versionOf = async (model: string, wanted?: string) =>
      (wanted === undefined ? control.standing(model)?.first : undefined) ?? answering(model, wanted ?? 'latest')

    // Of every door to these models together.
    scope.provide(
      tokens.statistics,
      () => new Statistics(scope.has(tokens.metrics) ? scope.get(tokens.metrics) : nullMetrics),
    )
    scope.provide(tokens.traffic, () => control.traffic)
    scope.provide(
      tokens.serving,
      (): Serving => ({
        async metadata(model, wanted) {
          const version = await versionOf(model, wanted)
          const { signature } = await host.session(version)
          const all = (await registry().versions(model)).map((record) => String(record.version))
          return { version, versions: all, platform: 'onnx_onnxruntime', signature }
        },
        infer(model, wanted, inputs, context = {}) {
          const called = performance.now()
          const policy = wanted === undefined ? control.standing(model) : undefined
          if (policy !== undefined) return control.infer(policy, model, inputs, context, called)
          const name = wanted ?? 'latest'
          const version = answeringNow(model, name)
          if (version !== undefined) return runner.run(version, inputs, context, called)
          return answering(model, name).then((found) => runner.run(found, inputs, context, called))
        },
        versionOf,
        cacheTotals: () => cache?.totals,
        index: () => host.index(),
        load: (model) => host.load(model),
        unload: (model) => host.unload(model),
      }),
    )
    return {
      async start() {
        metrics()
        await control.start()
      },
      async stop() {
        await control.stop()
        await host.close()
      },
    }
  },
})

function metricsOf(scope: Scope): Metrics {
  return scope.has(tokens.metrics) ? scope.get(tokens.metrics) : nullMetrics
}
