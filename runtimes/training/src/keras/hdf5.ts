import { Worker } from 'node:worker_threads'
import type { Shape } from '@tideway/core'
import { errors } from '../errors.js'

/** A tensor of an HDF5 file, where it lies in it. */
export interface Hdf5Tensor {
  readonly path: string
  readonly shape: Shape
  /** For floats of 32 and 64 bits. */
  readonly data: Float32Array | undefined
}

/** What Keras keeps in an HDF5 file: tensors, and in a whole model's its JSON and the version that wrote it. */
export interface Hdf5File {
  readonly tensors: readonly Hdf5Tensor[]
  readonly config: string | undefined
  readonly version: string | undefined
}

/** What a worker is started with. */
export interface Hdf5Task {
  readonly bytes: Uint8Array
  readonly maxBytes: number
}
export type Hdf5Answer = Hdf5File | { readonly problem: string } | { readonly missing: string }

/** The built worker, from `src` and from `dist` alike: Node 20 runs no TypeScript. */
const WORKER = new URL('../../dist/keras/hdf5-worker.js', import.meta.url)
/** A gigabyte takes some seconds. */
const MOST_MS = 120_000

interface Limits {
  /** Bytes of all tensors together, as float32 or float64. */
  readonly maxBytes: number
  readonly timeoutMs?: number
  readonly entry?: URL
}

/**
 * Reads an HDF5 file with the HDF5 library itself, compiled to WebAssembly (h5wasm), in a thread of its own: a damaged
 * file may leave that library unusable, or take it for ever. Throws `KERAS_READER_MISSING` where h5wasm is not installed
 * and `KERAS_FILE_INVALID`.
 */
export async function readHdf5(bytes: Uint8Array, limits: Limits): Promise<Hdf5File> {
  const { maxBytes, timeoutMs = MOST_MS, entry = WORKER } = limits
  const task: Hdf5Task = { bytes, maxBytes }
  // What the library has to say of a damaged file is not for our standard error.
  const thread = new Worker(entry, { workerData: task, execArgv: [], stdout: true, stderr: true })
  let timer: NodeJS.Timeout | undefined
  try {
    const answer = await new Promise<Hdf5Answer>((resolve) => {
      const problem = (what: string) => resolve({ problem: what })
      thread.once('message', resolve)
      thread.once('error', (error) => problem(`the HDF5 library failed: ${String(error)}`))
      thread.once('exit', (code) => problem(`the HDF5 library ended with code ${code}`))
      timer = setTimeout(() => problem(`reading it took more than ${timeoutMs} ms`), timeoutMs)
    })
    if ('missing' in answer) throw errors.KERAS_READER_MISSING({}, answer.missing)
    if ('problem' in answer) throw errors.KERAS_FILE_INVALID({ issues: [firstLine(answer.problem)] })
    return answer
  } finally {
    clearTimeout(timer)
    await thread.terminate()
  }
}

const firstLine = (text: string): string => text.split('\n', 1)[0]?.slice(0, 200) ?? ''
