import type { BlobRef, VersionRecord } from '@tideway/core'
import type { Range } from './chunks.js'

/** Where a pipeline reads its data and leaves what it made. */
export interface Artifacts {
  /** Verified bytes of a blob. Throws `BLOB_NOT_FOUND`. */
  blob(sha256: string): Promise<Uint8Array>
  putBlob(bytes: Uint8Array): Promise<BlobRef>
  /** A model file, cut at its tensors. */
  putFile(bytes: Uint8Array, tensors: readonly Range[]): Promise<BlobRef>
  register(entry: {
    model: string
    manifest: Uint8Array
    runId?: string
    aliases: readonly string[]
  }): Promise<{ version: VersionRecord; created: boolean }>
}
