import { createHash } from 'node:crypto'
import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ChunkStore, errors as core, limits } from '@tideway/core'
import { eq } from 'drizzle-orm'
import { writeDurably } from '../chunks/files.js'
import type { Handle } from '../open/handle.js'
import { blobs } from '../schema/tables.js'

/** How many files are looked for at once. */
const LOOKUPS_AT_ONCE = 64

/** Chunks as files `<dir>/ab/<sha256>`, blobs as rows. */
export function chunkStoreOn(handle: Handle, dir: string): ChunkStore {
  /** Found altered when read: there, but to be sent again. */
  const altered = new Set<string>()

  async function isThere(sha256: string): Promise<boolean> {
    const path = pathOf(dir, sha256)
    if (path === undefined || altered.has(sha256)) return false
    return access(path).then(
      () => true,
      () => false,
    )
  }

  async function missing(sha256s: readonly string[]): Promise<string[]> {
    const absent: string[] = []
    for (let from = 0; from < sha256s.length; from += LOOKUPS_AT_ONCE) {
      const some = sha256s.slice(from, from + LOOKUPS_AT_ONCE)
      const there = await Promise.all(some.map(isThere))
      absent.push(...some.filter((_, index) => !there[index]))
    }
    return absent
  }

  return {
    missing,
    async put(sha256, bytes) {
      if (bytes.byteLength > limits.maxChunkBytes)
        throw core.TOO_LARGE({ what: `chunk ${sha256}`, bytes: bytes.byteLength, maxBytes: limits.maxChunkBytes })
      const path = pathOf(dir, sha256)
      const actual = sha256Of(bytes)
      if (actual !== sha256 || path === undefined)
        throw core.CHUNK_DIGEST_MISMATCH({ sha256, actual, bytes: bytes.byteLength })
      await writeDurably(dir, path, bytes)
      altered.delete(sha256)
    },
    async get(sha256) {
      const path = pathOf(dir, sha256)
      if (path === undefined) throw core.CHUNK_NOT_FOUND({ sha256 })
      const bytes = await readFile(path).catch((cause: unknown) => {
        if ((cause as NodeJS.ErrnoException).code === 'ENOENT') throw core.CHUNK_NOT_FOUND({ sha256 }, cause)
        throw core.STORE_UNAVAILABLE({ store: dir }, cause)
      })
      const actual = sha256Of(bytes)
      if (actual === sha256) return bytes
      altered.add(sha256)
      throw core.CHUNK_DIGEST_MISMATCH({ sha256, actual, bytes: bytes.byteLength })
    },
    async putBlob({ sha256, size, chunks }) {
      const [absent] = await missing(chunks.map((chunk) => chunk.sha256))
      if (absent !== undefined) throw core.CHUNK_NOT_FOUND({ sha256: absent })
      const row = { sha256, size, chunks: chunks.map((chunk) => ({ sha256: chunk.sha256, size: chunk.size })) }
      // The newest cut wins: its chunks are those that were just seen to be there.
      await handle.use((db) => db.insert(blobs).values(row).onConflictDoUpdate({ target: blobs.sha256, set: row }))
    },
    blob: (sha256) => handle.use(async (db) => (await db.select().from(blobs).where(eq(blobs.sha256, sha256)))[0]),
  }
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Undefined for what is no digest, and could lead out of the folder. */
function pathOf(dir: string, sha256: string): string | undefined {
  return /^[0-9a-f]{64}$/.test(sha256) ? join(dir, sha256.slice(0, 2), sha256) : undefined
}
