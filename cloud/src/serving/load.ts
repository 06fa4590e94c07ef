import type { Logger, ResolvedServing, Runtime } from '@tideway/core'
import type { Batch, RowRunner } from './batch.js'
import { Batcher } from './batcher.js'
import type { ResponseCache } from './cache.js'
import { answersRowsAlone } from './independent.js'
import type { ModelSource } from './source.js'
import { loadFastest } from './threads.js'

export interface LoadFrom {
  readonly source: ModelSource
  readonly runtime: Runtime
  readonly cache?: ResponseCache | undefined
  readonly logger?: Pick<Logger, 'info'>
}

export interface LoadedVersion {
  readonly batcher: Batcher
  /** What requests go to, where that is not the batcher itself. */
  readonly runner?: RowRunner
  /** Of its file. */
  readonly bytes: number
}

/**
 * A version's file, loaded, tried and behind a queue; behind the cache of answers, where there is one. Throws what the source
 * and the runtime throw.
 */
export async function loadVersion(
  { source, runtime, cache, logger }: LoadFrom,
  manifestDigest: string,
  config: ResolvedServing,
  onBatch?: (batch: Batch) => void,
): Promise<LoadedVersion> {
  const { maxBatchRows: maxRows, maxDelayMs, maxQueuedRows, threads } = config
  const file = await source.find(manifestDigest)
  const onnx = await file.read()
  const { session, plan } = await loadFastest(runtime, onnx, threads)
  const together = await answersRowsAlone(session)
  const options = { maxRows, maxDelayMs, maxQueuedRows, parallel: plan.parallel, together }
  const batcher = new Batcher(session, options, onBatch)
  const { model, bytes } = file
  if (cache === undefined) return { batcher, bytes }
  // What reads a graph comes with the cache alone.
  const { randomOperators } = await import('./deterministic.js')
  const random = randomOperators(onnx)
  if (random.length > 0) logger?.info('answers are not kept: they differ from run to run', { model, random })
  const keeps = random.length === 0 && (config.cache?.models?.includes(model) ?? true)
  return { batcher, runner: cache.around(batcher, manifestDigest, keeps), bytes }
}
