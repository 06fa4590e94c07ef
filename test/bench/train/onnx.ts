import type { TrainData, TrainJob } from '@tideway/core'
import { createOnnxTrainer } from '@tideway/trainer-onnx'
import type { Outcome } from './outcome.js'

/** Our trainer; the first epoch, in which it makes its sessions, is not counted. */
export async function trainOnOnnx(job: TrainJob, train: TrainData, threads: number): Promise<Outcome> {
  const ends: number[] = []
  const { metrics, environment } = await createOnnxTrainer({ threads }).fit(job, {
    train,
    onCheckpoint: async (_, epoch) => {
      ends[epoch - 1] = performance.now()
    },
  })
  const [first, last] = [ends[0] ?? Number.NaN, ends.at(-1) ?? Number.NaN]
  return {
    samplesPerSecond: ((train.inputs.shape[0] ?? 0) * (job.epochs - 1)) / ((last - first) / 1000),
    finalLoss: metrics['loss'] ?? Number.NaN,
    threads: Number(environment['threads']),
    engineVersion: `onnxruntime ${environment['version']}`,
  }
}
