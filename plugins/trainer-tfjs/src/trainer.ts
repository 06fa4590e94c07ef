import * as tf from '@tensorflow/tfjs-core'
import { layerTypes, type Trainer } from '@tideway/core'
import { checkData, fitPhase, jobDigest, teacherOf, trainableIn, trainingErrors } from '@tideway/training'
import { TfjsEngine } from './engine.js'

export interface TfjsTrainerOptions {
  readonly backend?: 'cpu' | 'wasm'
}

export function createTfjsTrainer({ backend = 'cpu' }: TfjsTrainerOptions = {}): Trainer {
  return {
    name: 'tfjs',
    flags: { layers: layerTypes, providers: ['cpu'] },
    fit: async (job, context) => {
      const { network, notes } = trainableIn(job, context.base)
      if (job.quantizationAware !== undefined)
        throw trainingErrors.TRAIN_CONFIG_INVALID({
          issues: ['quantizationAware: trainer-tfjs does not round; trainer-onnx does'],
        })
      checkData(job, network, context.train, context.validation)
      const teacher = teacherOf(job, context.teacher, network)
      await tf.setBackend(backend)
      const environment = {
        engine: 'tfjs',
        version: tf.version_core,
        provider: backend,
        platform: `${process.platform}-${process.arch}`,
      }
      const activate = () => void tf.setBackend(backend)
      const digest = jobDigest(job, context.base, context.teacher)
      return fitPhase(
        { job, network, notes, context },
        digest,
        (order) => new TfjsEngine({ ...order, teacher, activate, environment }),
      )
    },
  }
}
