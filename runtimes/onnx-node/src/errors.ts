import { defineErrors, entry } from '@tideway/core'

/** What this runtime can say beside the codes that all runtimes share (`INPUT_INVALID`, `MODEL_INVALID`, …). */
export const { entries, errors } = defineErrors({
  RUNTIME_UNAVAILABLE: entry<{ platform: string; arch: string; reason: string }>(
    501,
    (d) => `onnxruntime-node cannot be loaded on ${d.platform}-${d.arch}: ${d.reason}`,
    'It has binaries for linux-x64 and linux-arm64 (glibc), darwin-arm64, win32-x64 and win32-arm64: there, run ' +
      '`ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node`. Elsewhere (Intel Macs, 32-bit Arm, Alpine) use a ' +
      'runtime on onnxruntime-web, whose WebAssembly runs in Node.',
  ),
  RUN_FAILED: entry<{ reason: string }>(
    500,
    (d) => `the model could not be run: ${d.reason}`,
    'The inputs fit its signature, so look for a size that is fixed inside the model, or for memory.',
  ),
})
