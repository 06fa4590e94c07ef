import type { NetworkJob, TrainData } from '@tideway/core'
import { createOnnxTrainer } from '../trainer.js'
import { reasonOf } from './choose.js'
import { CPU } from './provider.js'
import type { Answer } from './self-test.js'

const CLASSES = 8
const STEPS = 4

/** A dense layer, and how many times as fast as the provider the CPU may train it. */
interface Size {
  readonly features: number
  readonly units: number
  readonly batch: number
  readonly most: number
}

/** A GPU starts the operators of the small one more slowly than a CPU runs them; one that is none would not end with the wide one. */
const SIZES: readonly Size[] = [
  { features: 16, units: 128, batch: 16, most: 20 },
  { features: 512, units: 1024, batch: 256, most: 1 },
]

const jobOf = ({ features, units, batch }: Size): NetworkJob => ({
  network: {
    input: { name: 'x', shape: [features] },
    output: { name: 'y' },
    layers: [
      { type: 'dense', units, activation: 'relu' },
      { type: 'dense', units: CLASSES, activation: 'softmax' },
    ],
  },
  loss: 'softmaxCrossEntropy',
  optimizer: { type: 'adam', learningRate: 0.001 },
  batchSize: batch,
  epochs: 1,
  seed: 1,
})

function lessons(rows: number, features: number): TrainData {
  const targets = Int32Array.from({ length: rows }, (_, row) => row % CLASSES)
  const inputs = Float32Array.from({ length: rows * features }, (_, at) => Math.sin(at * at * 0.7))
  return {
    inputs: { dtype: 'float32', shape: [rows, features], data: inputs },
    targets: { dtype: 'int32', shape: [rows], data: targets },
  }
}

/** Rows a second, once the kernels are compiled. */
async function measure(provider: string, size: Size): Promise<number> {
  const trainer = createOnnxTrainer({ provider })
  const { batch, features } = size
  await trainer.fit(jobOf(size), { train: lessons(batch, features) })
  return (await trainer.fit(jobOf(size), { train: lessons(STEPS * batch, features) })).samplesPerSecond
}

async function answerFor(provider: string): Promise<Answer> {
  try {
    for (const size of SIZES) {
      const [perSecond, cpuPerSecond] = [await measure(provider, size), await measure(CPU, size)]
      if (perSecond * size.most < cpuPerSecond) return { perSecond, cpuPerSecond }
    }
    return { faster: true }
  } catch (error) {
    return { error: reasonOf(error) }
  }
}

/** The self-test of the provider that the first argument names; its answer goes to the parent. */
const answer = await answerFor(process.argv[2] ?? '')
process.send?.(answer, () => process.exit(0))
