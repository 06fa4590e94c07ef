import { createRequire } from 'node:module'
import { dirname, sep } from 'node:path'
import type { Backend } from './backend.js'
import { initialize, isInitialized } from './initialize.js'
import { guardFactors } from './wasm-factors.js'

const PACKAGE = '@tensorflow/tfjs-backend-wasm'
const require = createRequire(import.meta.url)

export const wasm: Backend = {
  name: 'wasm',
  engine: 'wasm',
  package: PACKAGE,
  get: 'npm install @tideway/runtime-tfjs',
  // Its threads are workers of a page.
  maxThreads: 1,
  mayBeHere: () => true,
  async start() {
    const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm')
    // Else a bundle looks for the .wasm files beside itself. Refused once the backend is there.
    if (!isInitialized('wasm')) setWasmPaths(`${dirname(require.resolve(PACKAGE))}${sep}`)
    await initialize('wasm')
    guardFactors()
    return {}
  },
}
