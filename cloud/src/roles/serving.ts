import { totalmem } from 'node:os'
import {
  codeOf,
  definePlugin,
  errors,
  type Metrics,
  nullMetrics,
  type ResolvedServing,
  readManifest,
  resolveServing,
  type Scope,
  type Serving,
  type Span,
  Statistics,
  servingConfigSchema,
  tokens,
} from '@tideway/core'
import { type Batch, Batcher } from '../serving/batcher.js'
import { answersRowsAlone } from '../serving/independent.js'
import { ServingMetrics } from '../serving/metrics.js'
import { ModelHost } from '../serving/model-host.js'
import { Switcher } from '../serving/switcher.js'
import { loadFastest } from '../serving/threads.js'
import { VersionLookup } from '../serving/version-lookup.js'

/** Of the machine's memory, for files of loaded models: a session takes some more than its file. */
const MEMORY_SHARE = 1 / 4

/** Online inference in the cloud: each version's preferred variant, loaded on first use. */
export const serving = definePlugin({
  name: 'serving',
  options: servingConfigSchema,
  provides: [tokens.serving, tokens.statistics],
  needs: [tokens.registry, tokens.chunkStore, tokens.runtime, tokens.logger],
  wants: [tokens.metrics],
  register(scope, options) {
    const config = resolveServing(options)
    const registry = () => scope.get(tokens.registry)
    // The registry may be opened when the process starts, after this.
    let lookup: VersionLookup | undefined
    const resolve = (model: string, wanted: string) => (lookup ??= new VersionLookup(registry())).resolve(model, wanted)
    const host = new ModelHost({
      registry,
      load: (digest, onBatch) => load(scope, digest, config, onBatch),
      metrics: () => metrics(),
      maxSessions: config.maxModels,
      maxBytes: config.maxModelBytes ?? totalmem() * MEMORY_SHARE,
    })
    const switcher = new Switcher({
      load: (version) => host.session(version),
      isReady: (version) => host.isReady(version),
      logger: () => scope.get(tokens.logger),
      metrics: () => metrics(),
    })
    let counted: ServingMetrics | undefined
    const metrics = () => (counted ??= new ServingMetrics(metricsOf(scope), () => host.loaded()))
    const answering = async (model: string, wanted: string) => {
      const version = await resolve(model, wanted)
      return /^\d+$/.test(wanted) ? version : switcher.answering(wanted, version)
    }

    // Of every door to these models together.
    scope.provide(tokens.statistics, () => new Statistics(metricsOf(scope)))
    scope.provide(
      tokens.serving,
      (): Serving => ({
        async metadata(model, wanted = 'latest') {
          const version = await answering(model, wanted)
          const { signature } = await host.session(version)
          const all = (await registry().versions(model)).map((record) => String(record.version))
          return { version, versions: all, platform: 'onnx_onnxruntime', signature }
        },
        async infer(model, wanted = 'latest', inputs, context = {}) {
          const called = performance.now()
          const version = await answering(model, wanted)
          for (;;) {
            const loading = host.session(version)
            if (!host.isReady(version)) traceLoad(loading, context.span)
            const batcher = await loading
            const waited = performance.now() - called
            try {
              const { outputs, queueMs, runMs, rows, batchRows, leads, run } = await batcher.run(inputs, context)
              const [queueNs, runNs] = [nanoseconds(waited + queueMs), nanoseconds(runMs)]
              return { version, outputs, timing: { queueNs, runNs, rows, batchSize: batchRows, leads, run } }
            } catch (error) {
              // Evicted between the look-up and the run: load it again.
              if (codeOf(error) !== 'SESSION_DISPOSED') throw error
              host.forget(version.manifestDigest, loading)
            }
          }
        },
        index: () => host.index(),
        load: (model) => host.load(model),
        unload: (model) => host.unload(model),
      }),
    )
    return { start: () => void metrics(), stop: () => host.close() }
  },
})

function metricsOf(scope: Scope): Metrics {
  return scope.has(tokens.metrics) ? scope.get(tokens.metrics) : nullMetrics
}

/** Whoever waits for a load sees in its trace what for. */
function traceLoad(loading: Promise<unknown>, span: Span | undefined): void {
  const load = span?.child('load')
  const end = () => load?.end()
  if (load) loading.then(end, end)
}

function nanoseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1e6)
}

async function load(
  scope: Scope,
  manifestDigest: string,
  { maxBatchRows: maxRows, maxDelayMs, maxQueuedRows, threads }: ResolvedServing,
  onBatch: (batch: Batch) => void,
): Promise<{ batcher: Batcher; bytes: number }> {
  const chunks = scope.get(tokens.chunkStore)
  const runtime = scope.get(tokens.runtime)
  const manifest = readManifest(await chunks.get(manifestDigest))
  const variant = manifest.variants.find((v) => runtime.flags.formats.includes(v.format))
  if (!variant) throw errors.MODEL_INVALID({ reason: `no variant that ${runtime.name} can run` })
  const file = variant.files[0]!
  const bytes = new Uint8Array(file.size)
  let at = 0
  for (const { sha256 } of file.chunks) {
    const chunk = await chunks.get(sha256)
    bytes.set(chunk, at)
    at += chunk.byteLength
  }
  const { session, plan } = await loadFastest(runtime, bytes, threads)
  const together = await answersRowsAlone(session)
  const batcher = new Batcher(
    session,
    { maxRows, maxDelayMs, maxQueuedRows, parallel: plan.parallel, together },
    onBatch,
  )
  return { batcher, bytes: file.size }
}
