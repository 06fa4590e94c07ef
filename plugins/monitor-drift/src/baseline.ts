import {
  type Bins,
  type BlobRef,
  type ChunkStore,
  decodeBins,
  limits,
  type Manifest,
  type Profile,
  type ProfileSchema,
  parseJson,
  profileBodySchema,
  profileDigest,
  readManifest,
  sha256Hex,
} from '@tideway/core'
import { errors } from './errors.js'

/** What a version's profiles are compared with. */
export interface Baseline {
  readonly model: string
  readonly manifestDigest: string
  readonly schema: ProfileSchema
  readonly schemaDigest: string
  readonly profile: Profile
  /** By statistic name, decoded once. */
  readonly bins: ReadonlyMap<string, Bins>
}

/**
 * Loads the baseline of a version from its manifest, which is the chunk named by its digest. Undefined when the version
 * was published without a profile schema or a baseline. Throws `CHUNK_NOT_FOUND` for a version that is not known here,
 * `BASELINE_UNUSABLE` and the errors of reading manifests and profiles.
 */
export async function loadBaseline(chunks: ChunkStore, manifestDigest: string): Promise<Baseline | undefined> {
  const manifest: Manifest = readManifest(await chunks.get(manifestDigest))
  if (!manifest.profile || !manifest.baseline) return undefined
  const unusable = (reason: string) => errors.BASELINE_UNUSABLE({ manifestDigest, reason })
  if (manifest.baseline.size > limits.maxBaselineBytes)
    throw unusable(`it has ${manifest.baseline.size} bytes; the limit is ${limits.maxBaselineBytes}`)
  const bytes = await readBlob(chunks, manifest.baseline)
  if (sha256Hex(bytes) !== manifest.baseline.sha256) throw unusable('its chunks do not add up to its digest')
  const profile = parseJson(profileBodySchema, bytes, 'baseline', limits.maxBaselineBytes)
  const schemaDigest = profileDigest(manifest.profile)
  if (profile.schemaDigest !== schemaDigest) throw unusable('it was made with another profile schema')
  if (profile.rows === 0) throw unusable('it has no rows')
  const bins = Object.entries(profile.sketches).map(([name, text]) => [name, decodeBins(text, name)] as const)
  return { model: manifest.model, manifestDigest, schema: manifest.profile, schemaDigest, profile, bins: new Map(bins) }
}

async function readBlob(chunks: ChunkStore, ref: BlobRef): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for (const chunk of ref.chunks) parts.push(await chunks.get(chunk.sha256))
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.byteLength, 0))
  let offset = 0
  for (const part of parts) {
    bytes.set(part, offset)
    offset += part.byteLength
  }
  return bytes
}
