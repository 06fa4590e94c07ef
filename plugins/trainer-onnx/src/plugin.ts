import { definePlugin, tokens } from '@tideway/core'
import { z } from 'zod'
import { reasonOf } from './providers/choose.js'
import { inOrder } from './providers/in-order.js'
import { createOnnxTrainer } from './trainer.js'

const options = z
  .strictObject({
    /** Execution providers in the order in which they are tried; default the CPU alone. */
    providers: z.array(z.string()).optional(),
    threads: z.int().positive().max(1024).optional(),
  })
  .prefault({})

/** Gives the host its `Trainer`: training graphs on onnxruntime-node. Providers that cannot train a job are logged. */
export const onnxTrainer = definePlugin({
  name: '@tideway/trainer-onnx',
  host: '^0.1.0',
  options,
  provides: [tokens.trainer],
  register: (scope, { providers = ['cpu'], threads }) => {
    const log = (from: string, to: string, error: unknown): void => {
      if (!scope.has(tokens.logger)) return
      scope.get(tokens.logger).warn('training provider not used', { provider: from, next: to, reason: reasonOf(error) })
    }
    const order = inOrder(providers, ({ from, to, error }) => log(from, to, error))
    return scope.provide(tokens.trainer, () =>
      createOnnxTrainer({ ...order, ...(threads !== undefined && { threads }) }),
    )
  },
})
