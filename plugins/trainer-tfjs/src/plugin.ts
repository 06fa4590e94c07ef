import { definePlugin, tokens } from '@tideway/core'
import { z } from 'zod'
import { createTfjsTrainer } from './trainer.js'

const options = z
  .strictObject({
    /** In the order in which they are tried. */
    backends: z
      .array(z.enum(['tfjs-node-gpu', 'tfjs-node', 'webgpu', 'wasm', 'cpu']))
      .min(1)
      .optional(),
    threads: z.int().positive().max(1024).optional(),
  })
  .prefault({})

/** Gives the host its `Trainer`: training graphs on TensorFlow.js. */
export const tfjsTrainer = definePlugin({
  name: '@tideway/trainer-tfjs',
  host: '^0.1.0',
  options,
  provides: [tokens.trainer],
  register: (scope, { backends, threads }) =>
    scope.provide(tokens.trainer, () =>
      createTfjsTrainer({ ...(backends && { backends }), ...(threads !== undefined && { threads }) }),
    ),
})
