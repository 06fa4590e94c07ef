import { randomBytes } from 'node:crypto'
import { type BlobRef, type ChunkStore, limits } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { type Subject, sha256Of, uniqueDigest } from './fixture.js'

export interface ChunkStoreSubject {
  /** Overwrites stored bytes behind the store's back. */
  alter(sha256: string, bytes: Uint8Array): Promise<void>
}

/** The suite that every `ChunkStore` runs. */
export function chunkStoreContract(name: string, chunks: Subject<ChunkStore>, subject: ChunkStoreSubject): void {
  async function stored(size: number): Promise<{ sha256: string; bytes: Uint8Array }> {
    const bytes = new Uint8Array(randomBytes(size))
    const sha256 = sha256Of(bytes)
    await chunks().put(sha256, bytes)
    return { sha256, bytes }
  }

  async function blobOf(sizes: readonly number[]): Promise<BlobRef> {
    const parts = []
    for (const size of sizes) parts.push(await stored(size))
    return {
      sha256: sha256Of(Buffer.concat(parts.map((part) => part.bytes))),
      size: sizes.reduce((sum, size) => sum + size, 0),
      chunks: parts.map(({ sha256, bytes }) => ({ sha256, size: bytes.length })),
    }
  }

  describe(`chunk store contract: ${name}`, () => {
    it('gives back the bytes that were put, from one byte to the largest chunk', async () => {
      for (const size of [1, 1000, limits.maxChunkBytes]) {
        const { sha256, bytes } = await stored(size)
        expect(Buffer.compare(await chunks().get(sha256), bytes)).toBe(0)
      }
    })

    it('takes the same chunk again, also many times at once', async () => {
      const { sha256, bytes } = await stored(5000)
      await Promise.all(Array.from({ length: 8 }, () => chunks().put(sha256, bytes)))
      expect(Buffer.compare(await chunks().get(sha256), bytes)).toBe(0)
    })

    it('refuses bytes that have another digest with CHUNK_DIGEST_MISMATCH and stores nothing', async () => {
      const sha256 = uniqueDigest()
      await expect(chunks().put(sha256, randomBytes(100))).rejects.toMatchObject({
        code: 'CHUNK_DIGEST_MISMATCH',
        data: { sha256, bytes: 100 },
      })
      expect(await chunks().missing([sha256])).toEqual([sha256])
      await expect(chunks().get(sha256)).rejects.toMatchObject({ code: 'CHUNK_NOT_FOUND', data: { sha256 } })
    })

    it('refuses a chunk over the limit with TOO_LARGE and stores nothing', async () => {
      const bytes = randomBytes(limits.maxChunkBytes + 1)
      await expect(chunks().put(sha256Of(bytes), bytes)).rejects.toMatchObject({
        code: 'TOO_LARGE',
        data: { bytes: bytes.length, maxBytes: limits.maxChunkBytes },
      })
      expect(await chunks().missing([sha256Of(bytes)])).toEqual([sha256Of(bytes)])
    })

    it('says which chunks are missing, in the order asked', async () => {
      const there = (await stored(10)).sha256
      const absent = Array.from({ length: 200 }, uniqueDigest)
      expect(await chunks().missing([...absent, there])).toEqual(absent)
      expect(await chunks().missing([there])).toEqual([])
      expect(await chunks().missing([])).toEqual([])
    })

    it('treats what is no digest as not there', async () => {
      for (const name of ['../../secret', '', 'A'.repeat(64), 'tmp']) {
        expect(await chunks().missing([name])).toEqual([name])
        await expect(chunks().get(name)).rejects.toMatchObject({ code: 'CHUNK_NOT_FOUND' })
        await expect(chunks().put(name, randomBytes(4))).rejects.toMatchObject({ code: 'CHUNK_DIGEST_MISMATCH' })
      }
    })

    it('refuses altered bytes when read, asks for them again, and is whole once they are put again', async () => {
      const { sha256, bytes } = await stored(3000)
      const altered = bytes.slice()
      altered[1500] = (altered[1500] ?? 0) ^ 1
      for (const damage of [altered, bytes.slice(0, 1000), new Uint8Array(0)]) {
        await subject.alter(sha256, damage)
        await expect(chunks().get(sha256)).rejects.toMatchObject({
          code: 'CHUNK_DIGEST_MISMATCH',
          data: { sha256, actual: sha256Of(damage), bytes: damage.length },
        })
        await expect(chunks().get(sha256)).rejects.toMatchObject({ code: 'CHUNK_DIGEST_MISMATCH' })
        expect(await chunks().missing([sha256])).toEqual([sha256])
        await chunks().put(sha256, bytes)
        expect(await chunks().missing([sha256])).toEqual([])
        expect(Buffer.compare(await chunks().get(sha256), bytes)).toBe(0)
      }
    })

    it('records which chunks make a blob, in order, also a blob of none', async () => {
      for (const blob of [await blobOf([100, 7, 100]), { sha256: sha256Of(''), size: 0, chunks: [] }]) {
        await chunks().putBlob(blob)
        expect(await chunks().blob(blob.sha256)).toEqual(blob)
        await chunks().putBlob(blob)
        expect(await chunks().blob(blob.sha256)).toEqual(blob)
      }
    })

    it('answers undefined for a blob that was not recorded', async () => {
      expect(await chunks().blob(uniqueDigest())).toBeUndefined()
    })

    it('refuses a blob of which a chunk is not there with CHUNK_NOT_FOUND', async () => {
      const blob = await blobOf([100, 200])
      const absent = uniqueDigest()
      const holed = { ...blob, chunks: [...blob.chunks, { sha256: absent, size: 5 }] }
      await expect(chunks().putBlob(holed)).rejects.toMatchObject({ code: 'CHUNK_NOT_FOUND', data: { sha256: absent } })
      expect(await chunks().blob(blob.sha256)).toBeUndefined()
    })

    it('lets a blob be cut anew', async () => {
      const blob = await blobOf([100, 200])
      await chunks().putBlob(blob)
      const recut = { ...blob, chunks: (await blobOf([150, 150])).chunks }
      await chunks().putBlob(recut)
      expect(await chunks().blob(blob.sha256)).toEqual(recut)
    })
  })
}
