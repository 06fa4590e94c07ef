import { definePlugin, tokens } from '@tideway/core'
import { createTfjsRuntime } from './runtime.js'

/** Gives the host its `Runtime`: TensorFlow.js models, with its own defaults. */
export const tfjsRuntime = definePlugin({
  name: '@tideway/runtime-tfjs',
  host: '^0.1.0',
  provides: [tokens.runtime],
  register: (scope) => scope.provide(tokens.runtime, () => createTfjsRuntime()),
})
