import * as tf from '@tensorflow/tfjs-core'
import { layerTypes, type Trainer, type TrainJob } from '@tideway/core'
import { BACKEND_NAMES, type Choice, chooseBackend, onBackend } from '@tideway/runtime-tfjs/backends'
import { checkData, fitPhase, jobDigest, teacherOf, trainableIn, trainingErrors } from '@tideway/training'
import { TfjsEngine } from './engine.js'

export interface TfjsTrainerOptions {
  /**
   * Backends in the order in which they are tried: `tfjs-node-gpu`, `tfjs-node`, `webgpu`, `wasm`, `cpu` when left out. One
   * alone is taken or the job fails.
   */
  readonly backends?: readonly string[]
  /** Threads of the CPU inside one operator, where the backend has them; a job's context may say otherwise. */
  readonly threads?: number
}

/**
 * A `Trainer` that runs the training graph of a network (forward pass, loss, backward pass and optimizer step as ONNX
 * operators) on TensorFlow.js, for machines that have it and no ONNX Runtime. `notes` of what it trains say which backend
 * was taken, and why none of those before it.
 *
 * Throws what a `Trainer` throws, `TFJS_BACKENDS_UNAVAILABLE` when no backend starts, and `TFJS_GRAPH_UNSUPPORTED` naming
 * the operators of a base model that have no kernel here. Epochs with rounding (`quantizationAware`) are trainer-onnx's.
 *
 * @example
 * const trainer = createTfjsTrainer({ backends: ['webgpu', 'wasm'] })
 * const { onnx, notes } = await trainer.fit(job, { train: { inputs, targets } })
 */
export function createTfjsTrainer({ backends = BACKEND_NAMES, threads }: TfjsTrainerOptions = {}): Trainer {
  return {
    name: 'tfjs',
    flags: { layers: layerTypes, providers: backends },
    fit: async (job, context) => {
      const { network, notes } = trainableIn(job, context.base)
      checkTrainable(job)
      checkData(job, network, context.train, context.validation)
      const teacher = teacherOf(job, context.teacher, network)
      const choice = await chooseBackend(orderOf(context.provider) ?? backends, context.threads ?? threads)
      const on = <T>(task: () => T): Promise<T> => onBackend(choice.engine, task)
      const environment = environmentOf(choice)
      const phase = { job, network, notes: [...notes, noteOn(choice)], context }
      return fitPhase(phase, jobDigest(job, context.base, context.teacher), (order) =>
        TfjsEngine.open({ ...order, teacher, on, environment }),
      )
    },
  }
}

/** What a job's context asks for; `auto` is every backend in its turn. */
function orderOf(provider: string | undefined): readonly string[] | undefined {
  if (provider === undefined) return undefined
  return provider === 'auto' ? BACKEND_NAMES : [provider]
}

function checkTrainable({ quantizationAware }: TrainJob): void {
  if (quantizationAware === undefined) return
  const issue = 'quantizationAware: TensorFlow.js trains in float; @tideway/trainer-onnx trains with rounding'
  throw trainingErrors.TRAIN_CONFIG_INVALID({ issues: [issue] })
}

/** What bit-identity depends on. */
function environmentOf({ backend }: Choice): Record<string, string> {
  return {
    engine: 'tfjs',
    version: tf.version_core,
    provider: backend,
    platform: `${process.platform}-${process.arch}`,
  }
}

function noteOn({ backend, skipped }: Choice): string {
  const why = skipped.map(({ backend: name, reason }) => `${name}: ${reason}`).join('; ')
  return `trained on TensorFlow.js's ${backend}${why === '' ? '' : `; not on ${why}`}`
}
