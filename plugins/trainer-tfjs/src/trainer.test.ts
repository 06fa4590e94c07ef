import * as tf from '@tensorflow/tfjs-core'
import { cornersData, cornersJob, trainerContract } from '@tideway/test/contract/trainer'
import { describe, expect, it } from 'vitest'
import { createTfjsTrainer } from './trainer.js'

trainerContract('TensorFlow.js on cpu', () => createTfjsTrainer({ backends: ['cpu'] }))
trainerContract('TensorFlow.js on wasm', () => createTfjsTrainer({ backends: ['wasm'] }))

describe('training on TensorFlow.js', () => {
  const train = cornersData(100, 1)
  const trainer = createTfjsTrainer({ backends: ['cpu'] })

  it('leaves nothing on the backend, also where it is stopped', async () => {
    const before = tf.memory().numTensors
    await trainer.fit({ ...cornersJob, epochs: 2 }, { train, validation: train })
    expect(tf.memory().numTensors).toBe(before)
    const controller = new AbortController()
    const stopped = trainer.fit(
      { ...cornersJob, epochs: 3 },
      {
        train,
        signal: controller.signal,
        onCheckpoint: async (_, epoch) => void (epoch === 2 && setImmediate(() => controller.abort())),
      },
    )
    await expect(stopped).rejects.toMatchObject({ code: 'TRAIN_ABORTED' })
    expect(tf.memory().numTensors).toBe(before)
  })
})
