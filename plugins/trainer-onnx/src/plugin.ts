import { definePlugin, tokens } from '@tideway/core'
import { createOnnxTrainer } from './trainer.js'

/** Gives the host its `Trainer`: training graphs on onnxruntime-node, with its own defaults. */
export const onnxTrainer = definePlugin({
  name: '@tideway/trainer-onnx',
  host: '^0.1.0',
  provides: [tokens.trainer],
  register: (scope) => scope.provide(tokens.trainer, () => createOnnxTrainer()),
})
