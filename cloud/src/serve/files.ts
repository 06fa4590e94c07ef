import { webcrypto } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { NamedFile } from '../config/named-file.js'
import { cloudErrors } from '../errors.js'
import type { ModelSource } from '../serving/source.js'

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
  const contents = new Map<string, Uint8Array>()
  const files: ServedFile[] = []
  for (const { onnx, ...one } of read.flat()) {
    const first = files.find(({ sha256 }) => sha256 === one.sha256)
    // A version is known by its digest: two names would share one session, and one's `unload` end the other's.
    if (first) issues.push(`${one.file}: it holds the same as ${first.file}, which is served as ${first.model}`)
    contents.set(one.sha256, onnx)
    files.push(one)
  }
  if (issues.length > 0) throw cloudErrors.SERVE_ORDER_INVALID({ issues })
  return { files, find: finder(files, contents) }
}

/** Nothing but `contents` has the bytes, so that they are free once the engine has its own. */
function finder(files: readonly ServedFile[], contents: Map<string, Uint8Array>): ModelSource['find'] {
  return async (digest) => {
    const { model, file, bytes } = files.find(({ sha256 }) => sha256 === digest)!
    const read = async () => {
      const first = contents.get(digest)
      contents.delete(digest)
      if (first !== undefined) return first
      const again = await contentsOf(file)
      if ((await sha256Of(again)) !== digest) throw cloudErrors.MODEL_FILE_CHANGED({ model, file })
      return again
    }
    return { model, bytes, read }
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
