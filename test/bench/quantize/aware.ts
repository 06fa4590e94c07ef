import { evaluate, type Part, type Parts, splitDataset } from '@tideway/cloud'
import type { NetworkConfig, Tensor, TrainData, TrainedModel, TrainJob } from '@tideway/core'
import { loadDigitImages } from '@tideway/example-digits'
import { createInt8Quantizer } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createOnnxTrainer } from '@tideway/trainer-onnx'
import type { BenchCheck, BenchRow } from '../result.js'
import { forDigits } from './models.js'

const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })
const trainer = createOnnxTrainer({ threads: 1 })

const SEEDS = [1, 2, 3]
const CALIBRATION_ROWS = 256

/** One way to train a network further, and to how many bits. */
interface Setting {
  readonly id: string
  readonly network: NetworkConfig
  readonly weightBits: number
  /** Of the float network that both ways begin with, and of what follows. */
  readonly epochs: readonly [before: number, more: number]
  /** The highest rate of what follows; left out: the rate of a pipeline's job that says nothing else. */
  readonly rate?: number
}

/** Depthwise and pointwise convolutions in turn, each normalized: a channel of a depthwise one has nine weights. */
const depthwise = (filters: number): NetworkConfig => ({
  input: { name: 'image', shape: [28, 28, 1] },
  output: { name: 'probabilities' },
  layers: [
    { type: 'conv2d', filters, kernelSize: 3, strides: 2, padding: 'same', useBias: false },
    { type: 'batchNormalization', momentum: 0.9 },
    { type: 'activation', activation: 'relu' },
    ...([2, 1, 1] as const).flatMap((strides): NetworkConfig['layers'] => [
      { type: 'depthwiseConv2d', kernelSize: 3, padding: 'same', strides, useBias: false },
      { type: 'batchNormalization', momentum: 0.9 },
      { type: 'activation', activation: 'relu' },
      { type: 'conv2d', filters, kernelSize: 1, useBias: false },
      { type: 'batchNormalization', momentum: 0.9 },
      { type: 'activation', activation: 'relu' },
    ]),
    { type: 'globalAveragePooling2d' },
    { type: 'dense', units: 10, activation: 'softmax' },
  ],
})

/** The first is the one that others vary: fewer bits, rates, epochs, channels; a job as pipelines have it; a full network. */
const SETTINGS: readonly Setting[] = [
  { id: 'aware', network: depthwise(16), weightBits: 3, epochs: [5, 5], rate: 0.005 },
  { id: 'aware.2bits', network: depthwise(16), weightBits: 2, epochs: [5, 5], rate: 0.005 },
  { id: 'aware.slow', network: depthwise(16), weightBits: 3, epochs: [5, 5], rate: 0.001 },
  { id: 'aware.fast', network: depthwise(16), weightBits: 3, epochs: [5, 5], rate: 0.02 },
  { id: 'aware.short', network: depthwise(16), weightBits: 3, epochs: [5, 2], rate: 0.005 },
  { id: 'aware.narrow', network: depthwise(8), weightBits: 4, epochs: [5, 5], rate: 0.005 },
  { id: 'aware.wide', network: depthwise(32), weightBits: 3, epochs: [5, 5], rate: 0.005 },
  { id: 'aware.job', network: depthwise(16), weightBits: 3, epochs: [5, 3] },
  { id: 'aware.dsCnn', network: forDigits('ds-cnn'), weightBits: 2, epochs: [4, 3], rate: 0.002 },
]

const RATE = { type: 'oneCycle', maximum: 0.01 } as const

/**
 * Networks with weights of few bits on digits. Both ways begin with the same float network and train as many epochs more at
 * the same rates: in float, then rounded with everything that the quantizer can do; or with rounding. `aware.job` is one
 * job of both parts, with the learning rate that it has by itself, against one in float of as many epochs. Accuracy on
 * 2,000 digits that were held out; lost is against the network that was trained in float all the time.
 */
export async function awareRecovers({
  progress,
}: {
  readonly progress: (line: string) => void
}): Promise<{ rows: BenchRow[]; checks: BenchCheck[] }> {
  const parts = await digits()
  const rows: BenchRow[] = []
  const floats = new Map<string, Promise<TrainedModel>>()
  for (const setting of SETTINGS)
    for (const seed of SEEDS) {
      const row = await measure(setting, seed, parts, (key, make) => {
        const known = floats.get(key) ?? make()
        floats.set(key, known)
        return known
      })
      progress(
        `${setting.id}, ${setting.weightBits} bits, seed ${seed}: float ${row['float']}, rounded after training ${row['int8']}, while training ${row['aware']}`,
      )
      rows.push(row)
    }
  return { rows, checks: SETTINGS.flatMap(({ id }) => checksOf(id, rows)) }
}

async function measure(
  { id, network, weightBits, epochs: [before, more], rate }: Setting,
  seed: number,
  { train, validation, test }: Parts,
  once: (key: string, make: () => Promise<TrainedModel>) => Promise<TrainedModel>,
): Promise<BenchRow> {
  const job: TrainJob = {
    network,
    loss: 'softmaxCrossEntropy',
    optimizer: { type: 'adam', learningRate: RATE },
    batchSize: 64,
    epochs: before,
    seed,
  }
  const key = JSON.stringify([network.layers, seed, before])
  const image = firstRows(validation, CALIBRATION_ROWS)
  const integers = async (onnx: Uint8Array): Promise<number> => {
    const quantizer = createInt8Quantizer({ weightBits })
    const input = network.input.name
    return accuracyOf((await quantizer.quantize(onnx, { [input]: image }, runtime, { precision: 'int8' })).onnx, test)
  }
  const fit = async (changes: Partial<TrainJob>): Promise<TrainedModel> => {
    if (rate === undefined) return trainer.fit({ ...job, epochs: before + more, ...changes }, { train })
    const base = (await once(key, () => trainer.fit(job, { train }))).onnx
    const optimizer: TrainJob['optimizer'] = { type: 'adam', learningRate: { type: 'cosine', maximum: rate } }
    return trainer.fit({ ...job, network: undefined, base: {}, optimizer, epochs: more, ...changes }, { train, base })
  }
  const float = await once(`${key} ${more} ${rate}`, () => fit({}))
  const learningRate = rate === undefined ? {} : { learningRate: { type: 'cosine', maximum: rate } as const }
  const aware = await fit({ quantizationAware: { epochs: more, weightBits, ...learningRate } })
  const [whole, after, trained] = [
    await accuracyOf(float.onnx, test),
    await integers(float.onnx),
    await integers(aware.onnx),
  ]
  return {
    part: 'aware',
    setting: id,
    seed,
    weightBits,
    float: whole,
    int8: after,
    aware: trained,
    pointsLost: points(whole - after),
    awarePointsLost: points(whole - trained),
    floatSeconds: float.seconds,
    awareSeconds: aware.seconds,
  }
}

/** Medians over seeds. */
function checksOf(id: string, rows: readonly BenchRow[]): BenchCheck[] {
  const own = rows.filter((row) => row['setting'] === id)
  const middle = (name: string): number => median(own.map((row) => Number(row[name])))
  const lost = middle('pointsLost')
  return [
    { id: `${id}.pointsLostWithout`, value: lost, atLeast: 0.5 },
    { id: `${id}.shareRecovered`, value: (lost - middle('awarePointsLost')) / lost, atLeast: 0.5, aim: 1 },
  ]
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

function firstRows({ inputs: { shape, data } }: TrainData, count: number): Tensor {
  const [rows = 1, ...row] = shape
  return { dtype: 'float32', shape: [count, ...row], data: data.slice(0, (data.length / rows) * count) } as Tensor
}
