import { webcrypto } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { cloudErrors } from '../errors.js'
import type { ModelSource } from '../serving/source.js'
import type { NamedFile } from './order.js'

/** An ONNX file that is served as the one version of a model. */
export interface ServedFile extends NamedFile {
  /** Of the bytes that are served, lower-case hexadecimal. */
  readonly sha256: string
  readonly bytes: number
}

export interface ServedFiles extends ModelSource {
  readonly files: readonly ServedFile[]
}

/**
 * Reads the files. Each is kept in memory until it is loaded for the first time, and read again for the next. Throws
 * `SERVE_ORDER_INVALID` naming every one that cannot be read, with the files beside it, or is the same as another.
 */
export async function readFiles(named: readonly NamedFile[]): Promise<ServedFiles> {
  const issues: string[] = []
  const read = await Promise.all(
    named.map(async (one) => {
      const onnx = await contentsOf(one.file).catch((error: unknown) => {
        if (!(error instanceof Error)) throw error
        issues.push(`${one.file}: ${isSystemError(error) ? `it cannot be read (${error.code})` : error.message}`)
      })
      return onnx === undefined ? [] : [{ ...one, onnx, sha256: await sha256Of(onnx), bytes: onnx.byteLength }]
    }),
  )
  const files = read.flat()
  const kept = new Map<string, Uint8Array>()
  for (const { file, sha256, onnx } of files) {
    const first = files.find((other) => other.sha256 === sha256)
    if (!kept.has(sha256)) kept.set(sha256, onnx)
    // A version is known by its digest: two names would share one session, and one's `unload` end the other's.
    else issues.push(`${file}: it holds the same as ${first!.file}, which is served as ${first!.model}`)
  }
  if (issues.length > 0) throw cloudErrors.SERVE_ORDER_INVALID({ issues })
  return {
    files: files.map(({ model, file, sha256, bytes }) => ({ model, file, sha256, bytes })),
    async find(digest) {
      const { model, file, bytes } = files.find(({ sha256 }) => sha256 === digest)!
      return {
        model,
        bytes,
        async read() {
          const first = kept.get(digest)
          if (kept.delete(digest)) return first!
          const again = await contentsOf(file)
          if ((await sha256Of(again)) !== digest) throw cloudErrors.MODEL_FILE_CHANGED({ model, file })
          return again
        },
      }
    },
  }
}

/**
 * The bytes of a model as one. A tensor that lies in a file beside it names that under the key `location` (onnx.proto,
 * `TensorProto.external_data`): where that word is nowhere, there is none, and what reads a graph is not loaded for it.
 */
async function contentsOf(file: string): Promise<Uint8Array> {
  const onnx = await readFile(file)
  if (!onnx.includes('location')) return onnx
  const { modelBytes } = await import('../config/model-file.js')
  return modelBytes(file)
}

/** Computed beside this thread: a model may have gigabytes. */
async function sha256Of(bytes: Uint8Array): Promise<string> {
  const digest = await webcrypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)
  return Buffer.from(digest).toString('hex')
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error
}
