import { type BlobRef, type ChunkStore, errors as core, readManifest } from '@tideway/core'
import { errors } from '../errors.js'

/**
 * Checks that what a manifest names can be fetched by a device: the manifest itself is stored, is of this model, sizes
 * add up, and every chunk of its files, known answers and baseline is there. Throws `CHUNK_NOT_FOUND`,
 * `MANIFEST_MODEL_MISMATCH`, `INPUT_REJECTED` and what `readManifest` throws.
 */
export async function checkPublishable(chunks: ChunkStore, model: string, manifestDigest: string): Promise<void> {
  const manifest = readManifest(await chunks.get(manifestDigest))
  if (manifest.model !== model) throw errors.MANIFEST_MODEL_MISMATCH({ model, manifestModel: manifest.model })
  const refs: [string, BlobRef][] = manifest.variants.flatMap((variant, v) => [
    ...variant.files.map((file, f): [string, BlobRef] => [`variants.${v}.files.${f}`, file]),
    [`variants.${v}.knownAnswers`, variant.knownAnswers],
  ])
  if (manifest.baseline) refs.push(['baseline', manifest.baseline])
  const issues = refs
    .filter(([, ref]) => sizeOf(ref) !== ref.size)
    .map(([path]) => `${path}: its chunks do not add up to its size`)
  if (issues.length > 0) throw core.INPUT_REJECTED({ what: 'the manifest', issues })
  const [missing] = await chunks.missing([
    ...new Set(refs.flatMap(([, ref]) => ref.chunks.map((chunk) => chunk.sha256))),
  ])
  if (missing) throw core.CHUNK_NOT_FOUND({ sha256: missing })
}

function sizeOf(ref: BlobRef): number {
  return ref.chunks.reduce((sum, chunk) => sum + chunk.size, 0)
}
