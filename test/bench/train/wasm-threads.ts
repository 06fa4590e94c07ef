import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getThreadsCount, setThreadsCount } from '@tensorflow/tfjs-backend-wasm'
import * as tf from '@tensorflow/tfjs-core'

/**
 * Starts TensorFlow.js's wasm backend with threads, which it leaves off in Node: it starts workers from blob URLs, and
 * Node's workers take files only. So blobs are kept as files while it starts. It also takes half of the logical cores
 * at most; it is told of twice as many. Throws when it runs on another number of threads than asked for.
 */
export async function withWasmThreads(threads: number, start: () => Promise<void>): Promise<void> {
  const require = createRequire(import.meta.url)
  // A worker gets the module as a blob and asks for its URL: it is told the file that the package has it in.
  const main = require.resolve('@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-threaded-simd.js')
  const os = require('node:os') as { cpus: () => unknown[] }
  const folder = mkdtempSync(join(tmpdir(), 'tideway-wasm-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const native = { Blob: globalThis.Blob, url: URL.createObjectURL.bind(URL), cpus: os.cpus }
  const files = new WeakMap<Blob, string>()
  let count = 0

  class FileBlob extends native.Blob {
    constructor(parts: BlobPart[] = [], options?: BlobPropertyBag) {
      super(parts, options)
      const file = join(folder, `${++count}.cjs`)
      writeFileSync(file, `URL.createObjectURL = () => ${JSON.stringify(main)};\n${parts.map(String).join('')}`)
      files.set(this, file)
    }
  }

  globalThis.Blob = FileBlob
  URL.createObjectURL = (blob) => files.get(blob as Blob) ?? native.url(blob as Blob)
  os.cpus = () => Array.from({ length: threads * 2 }, () => ({}))
  try {
    tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', true)
    setThreadsCount(threads)
    await start()
  } finally {
    globalThis.Blob = native.Blob
    URL.createObjectURL = native.url
    os.cpus = native.cpus
  }
  if (getThreadsCount() !== threads) throw new Error(`tfjs-wasm runs on ${getThreadsCount()} threads, not ${threads}`)
}
