import { createHash } from 'node:crypto'
import { type BlobRef, type ChunkRef, type ChunkStore, errors as core, limits } from '@tideway/core'
import type { ByteRange } from '../http/range.js'

/** Each put is durable when it resolves, which is mostly waiting for a disk. */
const PUTS_IN_FLIGHT = 4

/**
 * Cuts bytes into chunks of `limits.targetChunkBytes` while they arrive, stores them, and records the blob if all of
 * it has the digest. Holds a few chunks in memory, whatever the size. Throws `BLOB_DIGEST_MISMATCH`: then no blob is
 * recorded (its chunks are left to collection).
 */
export async function storeBlob(store: ChunkStore, sha256: string, body: AsyncIterable<Uint8Array>): Promise<BlobRef> {
  const whole = createHash('sha256')
  const chunks: ChunkRef[] = []
  const puts = createWindow(PUTS_IN_FLIGHT)
  let size = 0
  for await (const bytes of cut(body, limits.targetChunkBytes)) {
    whole.update(bytes)
    size += bytes.byteLength
    const chunk = { sha256: createHash('sha256').update(bytes).digest('hex'), size: bytes.byteLength }
    chunks.push(chunk)
    await puts.add(() => store.put(chunk.sha256, bytes))
  }
  await puts.settled()
  const actual = whole.digest('hex')
  if (actual !== sha256) throw core.BLOB_DIGEST_MISMATCH({ sha256, actual, bytes: size })
  const ref = { sha256, size, chunks }
  await store.putBlob(ref)
  return ref
}

/** The bytes of a range of a blob, one chunk in memory at a time. The first chunk is read before it resolves. */
export async function blobStream(
  store: ChunkStore,
  ref: BlobRef,
  range: ByteRange,
): Promise<ReadableStream<Uint8Array>> {
  const parts = readRange(store, ref, range)
  // So that a chunk lost or altered is an answer with a code, as long as the headers have not left.
  let next = await parts.next()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (next.done) return controller.close()
        controller.enqueue(next.value)
        next = await parts.next()
      },
      async cancel() {
        await parts.return(undefined)
      },
    },
    { highWaterMark: 1 },
  )
}

async function* readRange(store: ChunkStore, ref: BlobRef, { first, last }: ByteRange): AsyncGenerator<Uint8Array> {
  let offset = 0
  for (const chunk of ref.chunks) {
    const from = Math.max(first - offset, 0)
    const to = Math.min(last - offset + 1, chunk.size)
    if (from < to) yield (await store.get(chunk.sha256)).subarray(from, to)
    offset += chunk.size
    if (offset > last) return
  }
}

async function* cut(body: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let buffer = new Uint8Array(bytes)
  let filled = 0
  for await (const part of body) {
    for (let taken = 0; taken < part.byteLength; ) {
      const piece = part.subarray(taken, taken + bytes - filled)
      buffer.set(piece, filled)
      filled += piece.byteLength
      taken += piece.byteLength
      if (filled === bytes) {
        yield buffer
        buffer = new Uint8Array(bytes)
        filled = 0
      }
    }
  }
  if (filled > 0) yield buffer.slice(0, filled)
}

/** Runs a bounded number of tasks at once; the first failure is thrown by the next call. */
function createWindow(width: number) {
  const running = new Set<Promise<void>>()
  let failure: { cause: unknown } | undefined
  const check = () => {
    if (failure) throw failure.cause
  }
  return {
    async add(task: () => Promise<void>): Promise<void> {
      while (running.size >= width) await Promise.race(running)
      check()
      const run = task()
        .catch((cause: unknown) => {
          failure ??= { cause }
        })
        .finally(() => running.delete(run))
      running.add(run)
    },
    async settled(): Promise<void> {
      await Promise.all(running)
      check()
    },
  }
}
