import { defineConfig } from 'vite'

/** Pages with these headers may have threads. */
const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' }

export default defineConfig({
  base: './',
  // Where the build of the model puts its files.
  publicDir: 'dist/public',
  build: { outDir: 'dist/site', emptyOutDir: true, target: 'esnext', chunkSizeWarningLimit: 1_000 },
  server: { headers },
  preview: { headers },
  // While developing, ONNX Runtime finds its .wasm file beside its own JavaScript only where that stays where it is.
  optimizeDeps: { exclude: ['onnxruntime-web', '@tideway/runtime-onnx-web'] },
})
