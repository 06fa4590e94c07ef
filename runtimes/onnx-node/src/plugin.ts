import { definePlugin, tokens } from '@tideway/core/runtime'
import { createOnnxNodeRuntime } from './runtime.js'

/** Gives the host its `Runtime`: ONNX models on onnxruntime-node, with its own defaults. */
export const onnxNodeRuntime = definePlugin({
  name: '@tideway/runtime-onnx-node',
  host: '^0.1.0',
  provides: [tokens.runtime],
  register: (scope) => scope.provide(tokens.runtime, () => createOnnxNodeRuntime()),
})
