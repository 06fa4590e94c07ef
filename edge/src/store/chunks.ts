import { readdir, stat } from 'node:fs/promises'
import { type BlobRef, type ChunkRef, errors as core } from '@tideway/core'
import { sha256Of } from '../digest.js'
import { errors } from '../errors.js'
import { codeOfSystem, readIfThere, removeFile, writeDurably } from './files.js'
import type { Layout } from './layout.js'

const SHA256 = /^[0-9a-f]{64}$/

/** The content-addressed files of a device: `chunks/<first two digits>/<sha256>`. */
export interface ChunkFiles {
  /** There, and of this size when one is given. */
  has(sha256: string, size?: number): Promise<boolean>
  /** Verified bytes. Throws `CHUNK_NOT_FOUND`; an altered file is removed and counts as not there. */
  get(sha256: string): Promise<Uint8Array>
  /** Verifies, then keeps. Throws `CHUNK_DIGEST_MISMATCH`, `EDGE_DISK_FULL`, `EDGE_DISK_READ_ONLY`. */
  readonly put: (sha256: string, bytes: Uint8Array) => Promise<void>
  /**
   * The chunks of a blob joined and verified. Throws `CHUNK_NOT_FOUND`; `EDGE_STORE_CORRUPT` after removing what was
   * altered on disk; `MODEL_DIGEST_MISMATCH` when the chunks are right and the whole is not.
   */
  assemble(blob: BlobRef): Promise<Uint8Array>
  /** Removes every chunk that is not among these; answers how many. */
  keepOnly(wanted: ReadonlySet<string>): Promise<number>
}

export function createChunkFiles(layout: Layout): ChunkFiles {
  const files: ChunkFiles = {
    async has(sha256, size) {
      try {
        const { size: actual } = await stat(layout.chunk(sha256))
        return size === undefined || actual === size
      } catch (error) {
        if (codeOfSystem(error) === 'ENOENT') return false
        throw error
      }
    },

    async get(sha256) {
      const bytes = await readIfThere(layout.chunk(sha256))
      if (bytes === undefined) throw core.CHUNK_NOT_FOUND({ sha256 })
      if (sha256Of(bytes) === sha256) return bytes
      await removeFile(layout.chunk(sha256))
      throw core.CHUNK_NOT_FOUND({ sha256 })
    },

    async put(sha256, bytes) {
      const actual = sha256Of(bytes)
      if (actual !== sha256) throw core.CHUNK_DIGEST_MISMATCH({ sha256, actual, bytes: bytes.byteLength })
      await writeDurably(layout.temporary, layout.chunk(sha256), bytes)
    },

    async assemble(blob) {
      const whole = new Uint8Array(blob.size)
      let at = 0
      for (const { sha256 } of blob.chunks) {
        const bytes = await readIfThere(layout.chunk(sha256))
        if (bytes === undefined) throw core.CHUNK_NOT_FOUND({ sha256 })
        // An altered chunk may be longer than it was: it must not end in an exception of its own.
        whole.set(bytes.subarray(0, Math.max(0, blob.size - at)), Math.min(at, blob.size))
        at += bytes.byteLength
      }
      const actual = sha256Of(whole)
      if (actual === blob.sha256 && at === blob.size) return whole
      const chunks = await removeAltered(blob.chunks)
      if (chunks === 0) throw errors.MODEL_DIGEST_MISMATCH({ sha256: blob.sha256, actual })
      throw errors.EDGE_STORE_CORRUPT({ sha256: blob.sha256, chunks })
    },

    async keepOnly(wanted) {
      let removed = 0
      for (const folder of await namesIn(layout.chunks)) {
        for (const name of await namesIn(`${layout.chunks}/${folder}`)) {
          if (!SHA256.test(name) || wanted.has(name)) continue
          await removeFile(layout.chunk(name))
          removed += 1
        }
      }
      return removed
    },
  }
  return files

  async function removeAltered(chunks: readonly ChunkRef[]): Promise<number> {
    let altered = 0
    for (const { sha256 } of chunks) {
      const bytes = await readIfThere(layout.chunk(sha256))
      if (bytes === undefined || sha256Of(bytes) === sha256) continue
      await removeFile(layout.chunk(sha256))
      altered += 1
    }
    return altered
  }
}

/** Names in a folder; none when it is not there. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (codeOfSystem(error) === 'ENOENT') return []
    throw error
  }
}
