import type { TrainData, TrainedModel, TrainJob, TrainProgress } from '@tideway/core'
import { loadDigitImages } from '@tideway/example-digits'
import { createOnnxTrainer } from '@tideway/trainer-onnx'
import { shuffledRows } from '@tideway/training'
import { BATCH, CLASSES, DIGITS, INPUT, OUTPUT, PIXELS, SIDE } from '../shared.js'

const SEED = 1

/** Small convolutions whose last features are few, so that a few strokes are enough to train what comes behind them. */
const NETWORK: TrainJob['network'] = {
  input: { name: INPUT, shape: [SIDE, SIDE, 1] },
  output: { name: OUTPUT },
  layers: [
    { type: 'conv2d', filters: 12, kernelSize: 3, padding: 'same', activation: 'relu' },
    { type: 'maxPooling2d' },
    { type: 'conv2d', filters: 24, kernelSize: 3, padding: 'same', activation: 'relu' },
    { type: 'maxPooling2d' },
    { type: 'flatten' },
    { type: 'dense', units: 64, activation: 'relu' },
    { type: 'dense', units: DIGITS.length, activation: 'softmax' },
  ],
}

/** The job that the page goes on with: everything is frozen but a new last layer, with places for glyphs. */
export const HEAD_JOB: TrainJob = {
  base: { freeze: ['*'], head: { classes: CLASSES.length } },
  loss: 'softmaxCrossEntropy',
  optimizer: { type: 'adam', learningRate: 0.01 },
  batchSize: BATCH,
  epochs: 2,
  seed: SEED,
}

export interface TrainDigitsOptions {
  readonly epochs: number
  /** Fewer rows than there are, for a quick try. */
  readonly rows?: number
  readonly onProgress?: (progress: TrainProgress) => void
}

export interface TrainedDigits {
  /** Ten digits, the last layer of which is replaced. */
  readonly base: Uint8Array
  readonly model: TrainedModel
  readonly train: TrainData
  readonly test: TrainData
}

/** Trains on real handwritten digits, then the last layer anew, with three classes more than there are digits. */
export async function trainDigits({ epochs, rows, onProgress }: TrainDigitsOptions): Promise<TrainedDigits> {
  const { train, validation, test } = await parts(rows)
  const trainer = createOnnxTrainer()
  const job: TrainJob = {
    network: NETWORK,
    loss: 'softmaxCrossEntropy',
    optimizer: { type: 'adam', learningRate: { type: 'oneCycle', maximum: 0.004 } },
    augment: [
      { type: 'shift', x: 2, y: 2 },
      { type: 'rotate', degrees: 12 },
      { type: 'zoom', factor: 0.12 },
    ],
    batchSize: 64,
    epochs,
    seed: SEED,
  }
  const { onnx: base } = await trainer.fit(job, { train, validation, ...(onProgress && { onProgress }) })
  const model = await trainer.fit(HEAD_JOB, { train, validation: test, base })
  return { base, model, train, test }
}

/** Disjoint parts in random order: 70% to train on, 10% to watch, 20% to judge by. */
async function parts(limit = Number.POSITIVE_INFINITY) {
  const { inputs, targets, scale = 1 } = await loadDigitImages()
  const total = Math.min(limit, inputs.shape[0] ?? 0)
  const order = shuffledRows(inputs.shape[0] ?? 0, SEED, 0).subarray(0, total)
  const take = (from: number, to: number): TrainData => {
    const rows = order.subarray(Math.round(from * total), Math.round(to * total))
    const data = new Float32Array(rows.length * PIXELS)
    for (const [at, row] of rows.entries())
      for (let pixel = 0; pixel < PIXELS; pixel++)
        data[at * PIXELS + pixel] = Number(inputs.data[row * PIXELS + pixel]) * scale
    return {
      inputs: { dtype: 'float32', shape: [rows.length, SIDE, SIDE, 1], data },
      targets: {
        dtype: 'int32',
        shape: [rows.length],
        data: Int32Array.from(rows, (row) => Number(targets.data[row])),
      },
    }
  }
  return { train: take(0, 0.7), validation: take(0.7, 0.8), test: take(0.8, 1) }
}
