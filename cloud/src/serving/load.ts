import { type ChunkStore, errors, type ResolvedServing, type Runtime, readManifest, type Variant } from '@tideway/core'
import { type Batch, Batcher } from './batcher.js'
import { answersRowsAlone } from './independent.js'
import { loadFastest } from './threads.js'

export interface LoadFrom {
  readonly chunks: ChunkStore
  readonly runtime: Runtime
}

/** The variant of a version that is served here. Throws `MODEL_INVALID`, `CHUNK_NOT_FOUND`. */
async function variantOf({ chunks, runtime }: LoadFrom, manifestDigest: string): Promise<Variant> {
  const manifest = readManifest(await chunks.get(manifestDigest))
  const variant = manifest.variants.find((v) => runtime.flags.formats.includes(v.format))
  if (!variant) throw errors.MODEL_INVALID({ reason: `no variant that ${runtime.name} can run` })
  return variant
}

/** Of the file that `loadVersion` would load. */
export async function sizeOf(from: LoadFrom, manifestDigest: string): Promise<number> {
  return (await variantOf(from, manifestDigest)).files[0]!.size
}

/** A version's preferred variant, loaded, tried and behind a queue. */
export async function loadVersion(
  from: LoadFrom,
  manifestDigest: string,
  { maxBatchRows: maxRows, maxDelayMs, maxQueuedRows, threads }: ResolvedServing,
  onBatch?: (batch: Batch) => void,
): Promise<{ readonly batcher: Batcher; readonly bytes: number }> {
  const file = (await variantOf(from, manifestDigest)).files[0]!
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
  return { batcher, bytes: file.size }
}
