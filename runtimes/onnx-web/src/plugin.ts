import { definePlugin, tokens } from '@tideway/core/runtime'
import { createOnnxWebRuntime } from './runtime.js'

/** Gives the host its `Runtime`: ONNX models on onnxruntime-web, with its own defaults. */
export const onnxWebRuntime = definePlugin({
  name: '@tideway/runtime-onnx-web',
  host: '^0.1.0',
  provides: [tokens.runtime],
  register: (scope) => scope.provide(tokens.runtime, () => createOnnxWebRuntime()),
})
