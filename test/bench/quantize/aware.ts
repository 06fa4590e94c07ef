import { evaluate, type Part, type Parts, splitDataset } from '@tideway/cloud'
import type { NetworkConfig, Tensor, TrainedModel, TrainJob } from '@tideway/core'
import { loadDigitImages } from '@tideway/example-digits'
import { createInt8Quantizer } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createOnnxTrainer } from '@tideway/trainer-onnx'
import type { BenchCheck, BenchRow } from '../result.js'

const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })
const trainer = createOnnxTrainer({ threads: 1 })

const SEEDS = [1, 2, 3]
const WEIGHT_BITS = 3
const CALIBRATION_ROWS = 256
const FLOAT_EPOCHS = 5
const MORE_EPOCHS = 5
const RATE = { type: 'cosine', maximum: 0.005 } as const

/** Depthwise and pointwise convolutions in turn, each normalized: a channel of a depthwise one has nine weights. */
const network: NetworkConfig = {
  input: { name: 'image', shape: [28, 28, 1] },
  output: { name: 'probabilities' },
  layers: [
    { type: 'conv2d', filters: 16, kernelSize: 3, strides: 2, padding: 'same', useBias: false },
    { type: 'batchNormalization', momentum: 0.9 },
    { type: 'activation', activation: 'relu' },
    ...([2, 1, 1] as const).flatMap((strides): NetworkConfig['layers'] => [
      { type: 'depthwiseConv2d', kernelSize: 3, padding: 'same', strides, useBias: false },
      { type: 'batchNormalization', momentum: 0.9 },
      { type: 'activation', activation: 'relu' },
      { type: 'conv2d', filters: 16, kernelSize: 1, useBias: false },
      { type: 'batchNormalization', momentum: 0.9 },
      { type: 'activation', activation: 'relu' },
    ]),
    { type: 'globalAveragePooling2d' },
    { type: 'dense', units: 10, activation: 'softmax' },
  ],
}

const job: TrainJob = {
  network,
  loss: 'softmaxCrossEntropy',
  optimizer: { type: 'adam', learningRate: { type: 'oneCycle', maximum: 0.01 } },
  batchSize: 64,
  epochs: FLOAT_EPOCHS,
  seed: 1,
}

/**
 * A depthwise network with weights of 3 bits on digits. Both ways begin with the same float network and train as many
 * epochs more at the same rates: in float, then rounded with everything that the quantizer can do; or with rounding.
 * Accuracy on 2,000 digits that were held out; lost is against the network that was trained in float all the time.
 */
export async function awareRecovers({
  progress,
}: {
  readonly progress: (line: string) => void
}): Promise<{ rows: BenchRow[]; checks: BenchCheck[] }> {
  const { train, validation, test } = await digits()
  const rows: BenchRow[] = []
  for (const seed of SEEDS) {
    const start = await trainer.fit({ ...job, seed }, { train })
    const more = (changes: Partial<TrainJob>): Promise<TrainedModel> => {
      const optimizer: TrainJob['optimizer'] = { type: 'adam', learningRate: RATE }
      const further = { ...job, network: undefined, base: {}, optimizer, epochs: MORE_EPOCHS, seed }
      return trainer.fit({ ...further, ...changes }, { train, base: start.onnx })
    }
    const float = await more({})
    const aware = await more({
      quantizationAware: { epochs: MORE_EPOCHS, weightBits: WEIGHT_BITS, learningRate: RATE },
    })
    const integers = async (onnx: Uint8Array): Promise<number> => {
      const image = firstRows(validation, CALIBRATION_ROWS)
      const quantizer = createInt8Quantizer({ weightBits: WEIGHT_BITS })
      return accuracyOf((await quantizer.quantize(onnx, { image }, runtime, { precision: 'int8' })).onnx, test)
    }
    const [before, after, trained] = [
      await accuracyOf(float.onnx, test),
      await integers(float.onnx),
      await integers(aware.onnx),
    ]
    progress(`3-bit weights, seed ${seed}: float ${before}, rounded after training ${after}, while training ${trained}`)
    rows.push({
      part: 'aware',
      network: 'depthwise',
      seed,
      weightBits: WEIGHT_BITS,
      float: before,
      int8: after,
      aware: trained,
      pointsLost: points(before - after),
      awarePointsLost: points(before - trained),
      floatSeconds: float.seconds,
      awareSeconds: aware.seconds,
    })
  }
  const middle = (name: string): number => median(rows.map((row) => Number(row[name])))
  const lost = middle('pointsLost')
  return {
    rows,
    checks: [
      { id: 'aware.pointsLostWithout', value: lost, atLeast: 0.5 },
      { id: 'aware.shareRecovered', value: (lost - middle('awarePointsLost')) / lost, atLeast: 0.5, aim: 1 },
    ],
  }
}

const points = (share: number): number => Math.round(share * 10_000) / 100

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

async function accuracyOf(onnx: Uint8Array, part: Part): Promise<number> {
  const session = await runtime.load(onnx)
  try {
    return (await evaluate(session, part)).accuracy ?? Number.NaN
  } finally {
    await session.dispose()
  }
}

async function digits(): Promise<Parts> {
  const dataset = await loadDigitImages()
  return splitDataset(dataset, { train: 7_000, validation: 1_000, test: 2_000, by: 'shuffle', seed: 1 })
}

function firstRows({ inputs: { shape, data } }: Part, count: number): Tensor {
  const [rows = 1, ...row] = shape
  return { dtype: 'float32', shape: [count, ...row], data: data.slice(0, (data.length / rows) * count) }
}
