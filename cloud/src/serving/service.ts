import { totalmem } from 'node:os'
import type { Logger, Metrics, Registry, ResolvedServing, Runtime, Serving, VersionRecord } from '@tideway/core'
import type { ControlOptions, TrafficControl } from '../traffic/control.js'
import type { ResponseCache } from './cache.js'
import { loadVersion } from './load.js'
import { ServingMetrics } from './metrics.js'
import { ModelHost } from './model-host.js'
import { Runner } from './run.js'
import type { ModelSource } from './source.js'
import { Switcher } from './switcher.js'
import { VersionLookup } from './version-lookup.js'

/** Of the machine's memory, for files of loaded models: a session takes some more than its file. */
const MEMORY_SHARE = 1 / 4

/** Asked for when they are needed: some are opened only when the process starts. */
export interface ServingParts {
  readonly registry: () => Registry
  readonly source: () => ModelSource
  readonly runtime: () => Runtime
  readonly logger: () => Logger
  readonly metrics: () => Metrics
  /** Of answers; without one none is kept. */
  readonly cache?: ResponseCache | undefined
  /** Traffic policies; without them a request is answered by the version that it names, or by `latest`. */
  readonly control?: (around: Omit<ControlOptions, 'store'>) => TrafficControl
}

export interface ServingService {
  readonly serving: Required<Serving>
  /** The versions that are in memory. */
  readonly loaded: () => readonly VersionRecord[]
  start(): Promise<void>
  /** Ends what is loaded, once its runs have ended. */
  stop(): Promise<void>
}

/**
 * Online inference: each version's file, loaded on first use. A request without a version goes where the model's traffic
 * policy says, one with a version or alias where that is; then it waits for a run.
 */
export function createServing(config: ResolvedServing, parts: ServingParts): ServingService {
  const { registry, logger, cache } = parts
  let lookup: VersionLookup | undefined
  const resolve = (model: string, wanted: string) => (lookup ??= new VersionLookup(registry())).resolve(model, wanted)
  const host = new ModelHost({
    registry,
    load: (digest, onBatch) =>
      loadVersion(
        { source: parts.source(), runtime: parts.runtime(), cache, logger: logger() },
        digest,
        config,
        onBatch,
      ),
    sizeOf: async (digest) => (await parts.source().find(digest)).bytes,
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
      parts.metrics(),
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
  const control = parts.control?.({
    registry,
    logger,
    host,
    runner,
    resolve,
    latest: (model) => answering(model, 'latest'),
  })
  const versionOf = async (model: string, wanted?: string) =>
    (wanted === undefined ? control?.standing(model)?.first : undefined) ?? answering(model, wanted ?? 'latest')

  return {
    loaded: () => host.loaded().map(({ version }) => version),
    serving: {
      async metadata(model, wanted) {
        const version = await versionOf(model, wanted)
        const { signature, maxBatchRows } = await host.session(version)
        const all = (await registry().versions(model)).map((record) => String(record.version))
        return { version, versions: all, platform: 'onnx_onnxruntime', signature, maxBatchRows }
      },
      infer(model, wanted, inputs, context = {}) {
        const policy = wanted === undefined ? control?.standing(model) : undefined
        if (control !== undefined && policy !== undefined)
          return control.infer(policy, model, inputs, context, performance.now())
        const name = wanted ?? 'latest'
        const version = answeringNow(model, name)
        if (version !== undefined) return runner.run(version, inputs, context)
        const called = performance.now()
        return answering(model, name).then((found) => runner.run(found, inputs, context, called))
      },
      versionOf,
      hasPolicy: (model) => control?.standing(model) !== undefined,
      cacheTotals: () => cache?.totals,
      index: () => host.index(),
      load: (model) => host.load(model),
      unload: (model) => host.unload(model),
    },
    async start() {
      metrics()
      await control?.start()
    },
    async stop() {
      await control?.stop()
      await host.close()
    },
  }
}
