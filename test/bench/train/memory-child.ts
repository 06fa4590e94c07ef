import { readFileSync } from 'node:fs'
import type { NetworkJob } from '@tideway/core'
import { createOnnxTrainer } from '@tideway/trainer-onnx'
import { parameterShapes } from '@tideway/training'

/** What a process of its own measured; bytes. */
export interface MemoryFigures {
  readonly idle: number
  readonly peak: number
  /** Parameters, gradients, optimizer state and activations. */
  readonly own: number
  readonly finalLoss: number
}

const INPUTS = 1024
const UNITS = 4096
const CLASSES = 10
const BATCH = 64
const ROWS = 512
/** Of Adam: two moments. */
const STATES = 2

const job: NetworkJob = {
  network: {
    input: { name: 'x', shape: [INPUTS] },
    output: { name: 'y' },
    layers: [
      { type: 'dense', units: UNITS, activation: 'relu' },
      { type: 'dense', units: UNITS, activation: 'relu' },
      { type: 'dense', units: CLASSES, activation: 'softmax' },
    ],
  },
  loss: 'softmaxCrossEntropy',
  optimizer: { type: 'adam', learningRate: 1e-4 },
  batchSize: BATCH,
  epochs: 3,
  seed: 1,
}

/** The most that this process ever had resident. */
function peakBytes(): number {
  // On Linux `maxRSS` begins with what the parent had when it forked; VmHWM (proc(5)) begins with the program.
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS * 1024
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024
}

function ownBytes(): number {
  const parameters = Object.values(parameterShapes(job)).reduce(
    (sum, shape) => sum + shape.reduce((product, size) => product * size, 1),
    0,
  )
  const activations = BATCH * (UNITS + UNITS + CLASSES)
  return Float32Array.BYTES_PER_ELEMENT * (parameters * (1 + 1 + STATES) + activations)
}

const checkpoints = process.argv.includes('--checkpoints')
const idle = process.memoryUsage.rss()
const inputs = Float32Array.from({ length: ROWS * INPUTS }, (_, at) => Math.sin(at * at))
const targets = Int32Array.from({ length: ROWS }, (_, row) => row % CLASSES)
const train = {
  inputs: { dtype: 'float32', shape: [ROWS, INPUTS], data: inputs },
  targets: { dtype: 'int32', shape: [ROWS], data: targets },
} as const
const { metrics } = await createOnnxTrainer({ threads: 2 }).fit(job, {
  train,
  validation: train,
  ...(checkpoints ? { onCheckpoint: async () => {} } : {}),
})
const figures: MemoryFigures = { idle, peak: peakBytes(), own: ownBytes(), finalLoss: metrics['loss'] ?? Number.NaN }
process.send?.(figures)
process.disconnect?.()
