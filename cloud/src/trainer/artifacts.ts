import { type BlobRef, sha256Hex } from '@tideway/core'
import type { Artifacts } from '../pipeline/artifacts.js'
import { cutFile } from '../pipeline/chunks.js'
import type { CloudCalls } from './calls.js'

/** A pipeline's data and products over HTTP: a trainer node needs no database. */
export function createArtifacts(client: CloudCalls): Artifacts {
  return {
    blob: (sha256) => client.getBlob(sha256),
    putBlob: (bytes) => client.putBlob(bytes),
    async putFile(bytes, tensors): Promise<BlobRef> {
      const chunks = await client.putChunks(cutFile(bytes, tensors))
      return { sha256: sha256Hex(bytes), size: bytes.byteLength, chunks }
    },
    async register({ model, manifest, runId, aliases }) {
      const [chunk] = await client.putChunks([manifest])
      return client.registerVersion(model, {
        manifestDigest: chunk!.sha256,
        ...(runId !== undefined && { runId }),
        aliases: [...aliases],
      })
    },
  }
}
