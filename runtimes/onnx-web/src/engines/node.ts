import { availableParallelism } from 'node:os'
import type { Engines } from './engines.js'

/** Node has the WebAssembly build alone: its WebGPU is in onnxruntime-node. */
export const engines: Engines = {
  wasm: { provider: 'wasm', file: 'ort-wasm-simd-threaded.wasm', load: () => import('onnxruntime-web') },
  platform: process.platform,
  arch: process.arch,
  cores: availableParallelism,
  withoutThreads: () => undefined,
}
