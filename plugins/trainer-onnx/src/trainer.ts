import { availableParallelism } from 'node:os'
import { layerTypes, type Trainer } from '@tideway/core'
import { checkData, fitPhase, jobDigest, teacherOf, trainableIn } from '@tideway/training'
import { fitAware } from './aware/phases.js'
import { channelBlock } from './block.js'
import { Engine, isSmall } from './engine.js'

export interface OnnxTrainerOptions {
  /** Threads inside one operator; a job's context may say otherwise. Left out: one per core, at most 2 for small steps, else 8. */
  readonly threads?: number
}

/** What a step's operators can share: those of a small one take microseconds. */
const MAX_THREADS = { small: 2, other: 8 } as const

/**
 * A `Trainer` that writes forward pass, loss, backward pass and optimizer step as one ONNX graph and runs it with
 * ONNX Runtime, several steps of a small network to one `session.run`.
 *
 * @example
 * const trainer = createOnnxTrainer()
 * const { onnx, metrics } = await trainer.fit(job, { train: { inputs, targets } })
 */
export function createOnnxTrainer(options: OnnxTrainerOptions = {}): Trainer {
  return {
    name: 'onnx',
    flags: { layers: layerTypes, providers: ['cpu'] },
    fit: async (job, context) => {
      const { network, notes } = trainableIn(job, context.base)
      checkData(job, network, context.train, context.validation)
      const digest = jobDigest(job, context.base, context.teacher)
      const asked = context.threads ?? options.threads
      const fitting = (multiplications: number): number =>
        Math.min(availableParallelism(), MAX_THREADS[isSmall(multiplications) ? 'small' : 'other'])
      const machine = {
        threads: (multiplications: number): number => asked ?? fitting(multiplications),
        block: await channelBlock(),
        teacher: teacherOf(job, context.teacher, network),
      }
      return fitAware({ job, network, notes, context }, (phase) =>
        fitPhase(phase, digest, (order) => new Engine({ ...order, ...machine })),
      )
    },
  }
}
