import { type BlobRef, type ChunkRef, codeOf, errors as core, sha256Hex } from '@tideway/core'
import { errors } from './errors.js'
import { type Http, path, type RequestOptions } from './http.js'

export interface Blobs {
  /** Which of these chunks the cloud does not have. */
  missingChunks(sha256s: readonly string[]): Promise<string[]>
  /**
   * Uploads those that the cloud does not have, a few at a time, and answers what all of them are called, in order.
   * Throws `TOO_LARGE` for one over 128 KiB.
   */
  putChunks(chunks: readonly Uint8Array[], options?: TransferOptions): Promise<ChunkRef[]>
  /** Verified bytes. Throws `CHUNK_NOT_FOUND`, `CHUNK_DIGEST_MISMATCH`. */
  getChunk(sha256: string): Promise<Uint8Array>
  /** Uploads a blob unless it is there. Throws `TOO_LARGE`. */
  putBlob(bytes: Uint8Array, options?: { signal?: AbortSignal }): Promise<BlobRef>
  /** Uploads a blob of known digest from a stream. Throws `BLOB_DIGEST_MISMATCH`, `TOO_LARGE`. */
  putBlobStream(sha256: string, stream: ReadableStream<Uint8Array>): Promise<BlobRef>
  hasBlob(sha256: string): Promise<boolean>
  /** All bytes, verified. Throws `BLOB_NOT_FOUND`, `BLOB_DIGEST_MISMATCH`. */
  getBlob(sha256: string): Promise<Uint8Array>
  /**
   * Bytes as they come, not verified; of a range (both ends included) if one is given. Throws `BLOB_NOT_FOUND`,
   * `RANGE_NOT_SATISFIABLE`.
   */
  getBlobStream(sha256: string, range?: { first: number; last?: number }): Promise<ReadableStream<Uint8Array>>
  /** Throws `BLOB_NOT_FOUND`. */
  blobChunks(sha256: string): Promise<BlobRef>
}

export interface TransferOptions {
  readonly signal?: AbortSignal
  /** Of what has to be sent. */
  readonly onProgress?: (done: { sentBytes: number; ofBytes: number }) => void
}

const UPLOADS_IN_FLIGHT = 4
/** Digests asked for in one question; the cloud takes 65,536. */
const MISSING_BATCH = 16_384
/** A large blob takes as long as its line needs; the cloud gives up on one that stalls. */
const NO_TIMEOUT = { timeoutMs: 0 } as const

export function createBlobs(http: Http): Blobs {
  const blob = (sha256: string) => path('v1', 'blobs', sha256)
  const put = (at: string, octets: BodyInit, more: RequestOptions = {}) =>
    http.send(at, { method: 'PUT', octets, ...more })

  async function missingChunks(sha256s: readonly string[]): Promise<string[]> {
    const missing: string[] = []
    for (let at = 0; at < sha256s.length; at += MISSING_BATCH) {
      const json = { sha256s: sha256s.slice(at, at + MISSING_BATCH) }
      missing.push(...(await http.json<{ missing: string[] }>('/v1/chunks/missing', { method: 'POST', json })).missing)
    }
    return missing
  }

  async function hasBlob(sha256: string): Promise<boolean> {
    const { status } = await http.send(blob(sha256), { method: 'HEAD' }, [404]).catch(async (error: unknown) => {
      if (codeOf(error) !== 'CLOUD_ANSWER_INVALID') throw error
      // Answers to HEAD have no body, so their errors have no code: the one to GET says why.
      const response = await http.send(blob(sha256), {}, [404])
      await response.body?.cancel()
      return response
    })
    return status !== 404
  }

  const blobChunks = (sha256: string) => http.json<BlobRef>(`${blob(sha256)}/chunks`)

  async function getBlobStream(sha256: string, range?: { first: number; last?: number }) {
    const headers = range && { Range: `bytes=${range.first}-${range.last ?? ''}` }
    const response = await http.send(blob(sha256), { headers })
    return response.body ?? new Blob().stream()
  }

  return {
    missingChunks,
    async putChunks(chunks, { signal, onProgress } = {}) {
      const refs = chunks.map((bytes) => ({ sha256: sha256Hex(bytes), size: bytes.byteLength }))
      const bytesByName = new Map(refs.map(({ sha256 }, i) => [sha256, chunks[i]!]))
      const wanted = await missingChunks([...bytesByName.keys()])
      const sizeOf = (sha256: string) => bytesByName.get(sha256)?.byteLength ?? 0
      const ofBytes = wanted.reduce((sum, sha256) => sum + sizeOf(sha256), 0)
      let sentBytes = 0
      const queue = wanted.values()
      // Workers share one iterator: each takes the next chunk when it is done with its last.
      const work = async () => {
        for (const sha256 of queue) {
          signal?.throwIfAborted()
          await put(path('v1', 'chunks', sha256), bytesByName.get(sha256) as Uint8Array<ArrayBuffer>, { signal })
          sentBytes += sizeOf(sha256)
          onProgress?.({ sentBytes, ofBytes })
        }
      }
      await Promise.all(Array.from({ length: UPLOADS_IN_FLIGHT }, work))
      return refs
    },
    async getChunk(sha256) {
      const bytes = await bytesOf((await http.send(path('v1', 'chunks', sha256))).body, http.url)
      const actual = sha256Hex(bytes)
      if (actual !== sha256) throw core.CHUNK_DIGEST_MISMATCH({ sha256, actual, bytes: bytes.byteLength })
      return bytes
    },
    hasBlob,
    async putBlob(bytes, { signal } = {}) {
      const sha256 = await digestOf(bytes)
      if (await hasBlob(sha256)) return blobChunks(sha256)
      const response = await put(blob(sha256), bytes as Uint8Array<ArrayBuffer>, { ...NO_TIMEOUT, signal })
      return (await response.json()) as BlobRef
    },
    async putBlobStream(sha256, stream) {
      return (await put(blob(sha256), stream, NO_TIMEOUT)).json() as Promise<BlobRef>
    },
    async getBlob(sha256) {
      const bytes = await bytesOf(await getBlobStream(sha256), http.url)
      const actual = await digestOf(bytes)
      if (actual !== sha256) throw core.BLOB_DIGEST_MISMATCH({ sha256, actual, bytes: bytes.byteLength })
      return bytes
    },
    getBlobStream,
    blobChunks,
  }
}

/** A connection that breaks in the middle is the cloud gone, as it is at the beginning. */
async function bytesOf(stream: ReadableStream<Uint8Array> | null, url: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await new Response(stream).arrayBuffer())
  } catch (cause) {
    throw errors.CLOUD_UNREACHABLE({ url }, cause)
  }
}

/** Blobs may be large: Web Crypto is faster and does not block, but a page that is not served securely lacks it. */
async function digestOf(bytes: Uint8Array): Promise<string> {
  const subtle = (globalThis.crypto as Crypto | undefined)?.subtle as SubtleCrypto | undefined
  if (!subtle) return sha256Hex(bytes)
  const digest = await subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
