import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import type { Limiter } from './limits.js'

/** Makes a reader's error from what is wrong with its file. */
export type Refuse = (issue: string, cause?: unknown) => Error

const UNREADABLE = 'it cannot be read: it must be a file that this process may read'

/** The size of a file in bytes; refused is what is no file. Throws `DATA_LIMIT_EXCEEDED`. */
export async function fileSize(path: string, limiter: Limiter, refuse: Refuse): Promise<number> {
  const found = await stat(path).catch((cause: unknown) => {
    throw refuse(UNREADABLE, cause)
  })
  if (!found.isFile()) throw refuse(UNREADABLE)
  limiter.check('maxFileBytes', found.size)
  return found.size
}

/** A file's bytes as they are read, at most `maxFileBytes` of them, also when it grows. Errors as `fileSize`. */
export async function* fileBytes(path: string, limiter: Limiter, refuse: Refuse): AsyncGenerator<Buffer> {
  await fileSize(path, limiter, refuse)
  let bytes = 0
  const stream = createReadStream(path) as AsyncIterable<Buffer>
  try {
    for await (const chunk of stream) {
      bytes += chunk.length
      limiter.check('maxFileBytes', bytes)
      yield chunk
    }
  } catch (cause) {
    throw cause instanceof Error && 'syscall' in cause ? refuse(UNREADABLE, cause) : cause
  }
}

/** The same, decompressed when the bytes begin as gzip does. Broken compression is thrown as zlib's own error. */
export async function* plainBytes(path: string, limiter: Limiter, refuse: Refuse): AsyncGenerator<Buffer> {
  const source = fileBytes(path, limiter, refuse)
  const first = await source.next()
  if (first.done === true) return
  const all = chained(first.value, source)
  if (first.value[0] !== 0x1f || first.value[1] !== 0x8b) yield* all
  else {
    const gunzip = createGunzip()
    // A failure of either end destroys gunzip with it, which is where the reader sees it.
    const done = pipeline(Readable.from(all), gunzip)
    done.catch(() => undefined)
    yield* gunzip as AsyncIterable<Buffer>
    await done
  }
}

async function* chained(first: Buffer, rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield first
    yield* rest
  } finally {
    await rest.return(undefined)
  }
}

/**
 * Takes pieces of known length from a stream of bytes. Memory grows with the bytes that came, not with what a header
 * claims.
 */
export class ByteSource {
  private rest: Buffer = Buffer.alloc(0)
  private readonly chunks: AsyncIterator<Buffer>

  constructor(chunks: AsyncIterable<Buffer>) {
    this.chunks = chunks[Symbol.asyncIterator]()
  }

  /** The next bytes; fewer when the stream ends before. */
  async take(length: number): Promise<Buffer> {
    const parts: Buffer[] = []
    let have = 0
    for (;;) {
      const part = this.rest.subarray(0, length - have)
      this.rest = this.rest.subarray(part.length)
      if (part.length > 0) parts.push(part)
      have += part.length
      if (have === length) break
      const next = await this.chunks.next()
      if (next.done === true) break
      this.rest = next.value
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
  }

  /** Whether nothing is left. */
  async ended(): Promise<boolean> {
    while (this.rest.length === 0) {
      const next = await this.chunks.next()
      if (next.done === true) return true
      this.rest = next.value
    }
    return false
  }

  async close(): Promise<void> {
    await this.chunks.return?.()
  }
}
