import type { BlobRef } from '@tideway/core'
import type { Artifacts } from '../pipeline/artifacts.js'
import { fileRef, type Range } from '../pipeline/chunks.js'

/** Keeps what is to be stored, and knows what it will be called, until all of it is there. */
export class Parcel implements Pick<Artifacts, 'putBlob' | 'putFile'> {
  private readonly files: { readonly bytes: Uint8Array; readonly tensors: readonly Range[] }[] = []

  putBlob(bytes: Uint8Array): Promise<BlobRef> {
    return this.putFile(bytes, [])
  }

  async putFile(bytes: Uint8Array, tensors: readonly Range[]): Promise<BlobRef> {
    this.files.push({ bytes, tensors })
    return fileRef(bytes, tensors)
  }

  async send(to: Pick<Artifacts, 'putFile'>): Promise<void> {
    for (const { bytes, tensors } of this.files) await to.putFile(bytes, tensors)
  }
}
