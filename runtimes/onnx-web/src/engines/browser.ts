import type { Engines } from './engines.js'

/**
 * Each build is imported on first use, so that it is a file of its own in a bundle: a page downloads only the one that
 * it runs, and the build's threads, which are workers of that same file, do not run the page's code.
 */
export const engines: Engines = {
  wasm: { provider: 'wasm', file: 'ort-wasm-simd-threaded.wasm', load: () => import('onnxruntime-web/wasm') },
  webgpu: {
    provider: 'webgpu',
    file: 'ort-wasm-simd-threaded.asyncify.wasm',
    load: () => import('onnxruntime-web/webgpu'),
  },
  platform: 'this browser',
  cores: () => navigator.hardwareConcurrency,
  withoutThreads: () => (globalThis.crossOriginIsolated ? undefined : 'the page is not cross-origin isolated'),
}
