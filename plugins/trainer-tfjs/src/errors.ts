import { defineErrors, entry } from '@tideway/core'

/** Errors of training on TensorFlow.js; those of jobs, data and checkpoints are of `@tideway/training`. */
export const { entries, errors } = defineErrors({
  TFJS_GRAPH_UNSUPPORTED: entry<{ issues: readonly string[] }>(
    422,
    (d) => `TensorFlow.js cannot train this network: ${d.issues.join('; ')}`,
    'Train it with @tideway/trainer-onnx, or leave the named parts out.',
  ),
})
