import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { NetworkConfig, NetworkJob, TrainData } from '@tideway/core'
import { createOnnxTrainer } from '@tideway/trainer-onnx'
import { digits } from '../train/data.js'
import { networks } from '../train/networks.js'

/** MLPerf Tiny's anomaly detection (Banbury et al. 2021, arXiv:2106.07597): dense layers with batch normalization. */
const autoEncoder: NetworkConfig = {
  input: { name: 'x', shape: [640] },
  output: { name: 'y' },
  layers: [
    ...[128, 128, 128, 128, 8, 128, 128, 128, 128].flatMap((units, at): NetworkConfig['layers'] => [
      { type: 'dense', units, name: `dense_${at}` },
      { type: 'batchNormalization', name: `norm_${at}` },
      { type: 'activation', activation: 'relu', name: `relu_${at}` },
    ]),
    { type: 'dense', units: 640, name: 'restored' },
  ],
}

export type NetworkName = 'auto-encoder' | 'resnet-8' | 'conv' | 'ds-cnn'

const configs: Readonly<Record<NetworkName, NetworkConfig>> = {
  'auto-encoder': autoEncoder,
  'resnet-8': networks['resnet-8']!.network,
  conv: networks['conv']!.network,
  'ds-cnn': networks['ds-cnn']!.network,
}

/**
 * The benchmark's networks for digits: DS-CNN takes whole images, and as many classes as there are digits. Batch
 * normalization forgets faster, as the epochs are few.
 */
export function forDigits(name: NetworkName): NetworkConfig {
  const { input, output, layers } = configs[name]
  return {
    input: name === 'ds-cnn' ? { ...input, shape: [28, 28, 1] } : input,
    output,
    layers: layers.map((layer) => {
      if (layer.type === 'dense') return { ...layer, units: 10 }
      return layer.type === 'batchNormalization' ? { ...layer, momentum: 0.9 } : layer
    }),
  }
}

export interface Trained {
  readonly onnx: Uint8Array
  /** For calibration, and held out; never trained on. */
  readonly validation: TrainData
  readonly test: TrainData
}

const THREADS = 2
const TRAIN_ROWS = 7_000
const VALIDATION_ROWS = 1_000
const TEST_ROWS = 2_000

const EPOCHS: Readonly<Partial<Record<NetworkName, number>>> = { conv: 5, 'ds-cnn': 4, 'resnet-8': 3 }

/**
 * A network trained on digits from a seed; the same 2,000 are held out for every seed. With a folder, what was trained
 * before is taken from there.
 */
export async function trainedOnDigits(name: NetworkName, seed: number, folder: string | undefined): Promise<Trained> {
  const network = forDigits(name)
  const all = await digits(TRAIN_ROWS + VALIDATION_ROWS + TEST_ROWS, network.input.shape, 1)
  const parts = [
    rowsOf(all, 0, TRAIN_ROWS),
    rowsOf(all, TRAIN_ROWS, TRAIN_ROWS + VALIDATION_ROWS),
    rowsOf(all, TRAIN_ROWS + VALIDATION_ROWS, TRAIN_ROWS + VALIDATION_ROWS + TEST_ROWS),
  ] as const
  const job: NetworkJob = {
    network,
    loss: 'softmaxCrossEntropy',
    optimizer: { type: 'adam', learningRate: { type: 'oneCycle', maximum: 4e-3 } },
    batchSize: 64,
    epochs: EPOCHS[name] ?? 3,
    seed,
  }
  const train = async (): Promise<Uint8Array> =>
    (await createOnnxTrainer({ threads: THREADS }).fit(job, { train: parts[0] })).onnx
  const onnx = await kept(folder, `digits-${name}-${seed}`, train)
  return { onnx, validation: parts[1], test: parts[2] }
}

/** A network as it stands in MLPerf Tiny, trained a little: what counts is its size and how fast it runs. */
export async function trainedBriefly(name: NetworkName, folder: string | undefined): Promise<Trained> {
  const network = configs[name]
  const data = await digits(512, network.input.shape, 1)
  const isEncoder = name === 'auto-encoder'
  const job: NetworkJob = {
    network,
    loss: isEncoder ? 'meanSquaredError' : 'softmaxCrossEntropy',
    optimizer: { type: 'adam', learningRate: 1e-3 },
    batchSize: 64,
    epochs: 2,
    seed: 1,
  }
  const train = isEncoder ? { ...data, targets: data.inputs } : data
  const fit = async (): Promise<Uint8Array> =>
    (await createOnnxTrainer({ threads: THREADS }).fit(job, { train: train as TrainData })).onnx
  return { onnx: await kept(folder, `brief-${name}`, fit), validation: data, test: data }
}

async function kept(folder: string | undefined, name: string, make: () => Promise<Uint8Array>): Promise<Uint8Array> {
  if (folder === undefined) return make()
  const path = join(folder, `${name}.onnx`)
  const known = await readFile(path).catch(() => undefined)
  if (known !== undefined) return new Uint8Array(known)
  const onnx = await make()
  await mkdir(folder, { recursive: true })
  await writeFile(path, onnx)
  return onnx
}

export function rowsOf({ inputs, targets }: TrainData, from: number, to: number): TrainData {
  const width = inputs.data.length / (inputs.shape[0] ?? 1)
  const data = (inputs.data as Float32Array).subarray(from * width, to * width)
  return {
    inputs: { dtype: 'float32', shape: [to - from, ...inputs.shape.slice(1)], data },
    targets: { dtype: 'int32', shape: [to - from], data: (targets.data as Int32Array).subarray(from, to) },
  }
}
