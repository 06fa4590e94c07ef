import type { BlobRef, ChunkStore, Runtime } from '@tideway/core'
import { errors } from '@tideway/core/serving'
import { readManifest } from '@tideway/core/versions'
import type { ModelSource } from './source.js'

/** Versions whose manifests and files are in a store: of each the first variant that the runtime can run. */
export function storedModels(chunks: Pick<ChunkStore, 'get'>, runtime: Pick<Runtime, 'name' | 'flags'>): ModelSource {
  return {
    async find(manifestDigest) {
      const { model, variants } = readManifest(await chunks.get(manifestDigest))
      const variant = variants.find(({ format }) => runtime.flags.formats.includes(format))
      if (!variant) throw errors.MODEL_INVALID({ reason: `no variant that ${runtime.name} can run` })
      const [file] = variant.files
      return { model, bytes: file!.size, read: () => joined(chunks, file!) }
    },
  }
}

async function joined(chunks: Pick<ChunkStore, 'get'>, file: BlobRef): Promise<Uint8Array> {
  const bytes = new Uint8Array(file.size)
  let at = 0
  for (const { sha256 } of file.chunks) {
    const chunk = await chunks.get(sha256)
    bytes.set(chunk, at)
    at += chunk.byteLength
  }
  return bytes
}
