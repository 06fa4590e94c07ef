import { defineErrors, entry } from '@tideway/core'
import type { Skipped } from './backends/backend.js'

/** What this runtime can say beside the codes that all runtimes share (`MODEL_INVALID`, `PROVIDER_UNAVAILABLE`, …). */
export const { entries, errors } = defineErrors({
  TFJS_BACKENDS_UNAVAILABLE: entry<{ skipped: readonly Skipped[] }>(
    501,
    (d) =>
      `no backend of TensorFlow.js that may be used is here: ${d.skipped
        .map(({ backend, reason, get }) => `${backend}: ${reason} (get it: ${get})`)
        .join('; ')}`,
    'Install what one of them lacks, or let `wasm` or `cpu` be used, which need nothing.',
  ),
  TFJS_THREADS_UNAVAILABLE: entry<{ backend: string; threads: number; available: number }>(
    409,
    (d) => `a model was to run on ${d.threads} threads, and the backend ${d.backend} has ${d.available} in Node`,
    'Leave intraOpThreads out, or install @tensorflow/tfjs-node, which takes any number before its first model.',
  ),
  TFJS_SHARDS_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `a model.json and its shards do not make one file: ${d.issues.join('; ')}`,
    'Give each file that weightsManifest names under `paths`, whole, as the converter wrote it.',
  ),
})
