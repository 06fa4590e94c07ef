import {
  type ChunkStore,
  errors,
  type Logger,
  type Manifest,
  type ResolvedServing,
  type Runtime,
  readManifest,
  type Variant,
} from '@tideway/core'
import { type Batch, Batcher, type RowRunner } from './batcher.js'
import type { ResponseCache } from './cache.js'
import { randomOperators } from './deterministic.js'
import { answersRowsAlone } from './independent.js'
import { loadFastest } from './threads.js'

export interface LoadFrom {
  readonly chunks: ChunkStore
  readonly runtime: Runtime
}

/** The variant of a version that is served here. Throws `MODEL_INVALID`, `CHUNK_NOT_FOUND`. */
async function variantOf(
  { chunks, runtime }: LoadFrom,
  manifestDigest: string,
): Promise<{ readonly manifest: Manifest; readonly variant: Variant }> {
  const manifest = readManifest(await chunks.get(manifestDigest))
  const variant = manifest.variants.find((v) => runtime.flags.formats.includes(v.format))
  if (!variant) throw errors.MODEL_INVALID({ reason: `no variant that ${runtime.name} can run` })
  return { manifest, variant }
}

/** Of the file that `loadVersion` would load. */
export async function sizeOf(from: LoadFrom, manifestDigest: string): Promise<number> {
  return (await variantOf(from, manifestDigest)).variant.files[0]!.size
}

export interface LoadedVersion {
  readonly batcher: Batcher
  /** What requests go to, where that is not the batcher itself. */
  readonly runner?: RowRunner
  /** Of its file. */
  readonly bytes: number
}

/** A version's preferred variant, loaded, tried and behind a queue; behind the cache of answers, where there is one. */
export async function loadVersion(
  from: LoadFrom & { readonly cache?: ResponseCache | undefined; readonly logger?: Pick<Logger, 'info'> },
  manifestDigest: string,
  config: ResolvedServing,
  onBatch?: (batch: Batch) => void,
): Promise<LoadedVersion> {
  const { maxBatchRows: maxRows, maxDelayMs, maxQueuedRows, threads } = config
  const { manifest, variant } = await variantOf(from, manifestDigest)
  const file = variant.files[0]!
  const bytes = new Uint8Array(file.size)
  let at = 0
  for (const { sha256 } of file.chunks) {
    const chunk = await from.chunks.get(sha256)
    bytes.set(chunk, at)
    at += chunk.byteLength
  }
  const { session, plan } = await loadFastest(from.runtime, bytes, threads)
  const together = await answersRowsAlone(session)
  const options = { maxRows, maxDelayMs, maxQueuedRows, parallel: plan.parallel, together }
  const batcher = new Batcher(session, options, onBatch)
  if (from.cache === undefined) return { batcher, bytes: file.size }
  const random = randomOperators(bytes)
  const { model } = manifest
  if (random.length > 0) from.logger?.info('answers are not kept: they differ from run to run', { model, random })
  const keeps = random.length === 0 && (config.cache?.models?.includes(model) ?? true)
  return { batcher, runner: from.cache.around(batcher, manifestDigest, keeps), bytes: file.size }
}
