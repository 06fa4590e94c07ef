import type { NetworkJob, Runtime, TrainData } from '@tideway/core'
import { GraphBuilder, writeModel } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import type { Probe } from './probes.js'

/** What a self-test measured. */
export interface Measured {
  /** From bytes to a session, the engine's own start included. */
  readonly loadMs: number
  /** Rows a second of the small network, in batches of 64. */
  readonly inferredPerSecond: number
  readonly trainedPerSecond?: number
}

const [FEATURES, UNITS, CLASSES, BATCH] = [64, 128, 8, 64]
/** Sums of up to 128 products of order one. */
const TOLERANCE = 1e-3
const INFER_MS = 300
const LEAST_ACCURACY = 0.95

/** Numbers between -1 and 1 that look random and are not. */
const wave = (count: number, seed: number) =>
  Float32Array.from({ length: count }, (_, at) => Math.sin(seed + at * at * 0.7))

const [first, last, rows] = [wave(FEATURES * UNITS, 1), wave(UNITS * CLASSES, 2), wave(BATCH * FEATURES, 3)]

/** relu(x · first) · last, as a graph of ONNX; `tfjs-model.ts` has it in TensorFlow.js's format. */
function onnxModel(): Uint8Array {
  const g = new GraphBuilder('self_test')
  const x = g.input('x', 'float32', [null, FEATURES])
  const w = g.initializer('first', { dtype: 'float32', shape: [FEATURES, UNITS], data: first })
  const v = g.initializer('last', { dtype: 'float32', shape: [UNITS, CLASSES], data: last })
  g.output('y', g.op('MatMul', [g.op('Relu', [g.op('MatMul', [x, w])]), v]))
  return writeModel(g.build())
}

/** In plain arithmetic. */
function knownAnswer(): Float64Array {
  const times = (a: ArrayLike<number>, b: ArrayLike<number>, inner: number, width: number) =>
    Float64Array.from({ length: BATCH * width }, (_, at) => {
      const [row, column] = [Math.floor(at / width), at % width]
      let sum = 0
      for (let k = 0; k < inner; k += 1) sum += a[row * inner + k]! * b[k * width + column]!
      return sum
    })
  const hidden = times(rows, first, FEATURES, UNITS).map((value) => Math.max(0, value))
  return times(hidden, last, UNITS, CLASSES)
}

/**
 * Runs a small network on an engine and, where it trains, trains one. Throws what the engine throws, and for a wrong
 * answer.
 */
export async function selfTest({ engine, provider, trains }: Probe): Promise<Measured> {
  const [runtime, model] = await subjectOf(engine)
  const measured = await inference(runtime, model, provider)
  return trains ? { ...measured, trainedPerSecond: await training(provider) } : measured
}

/** The engine, and the network in its format. */
async function subjectOf(engine: string): Promise<[Runtime, Uint8Array]> {
  if (engine === 'onnx-node') return [createOnnxNodeRuntime(), onnxModel()]
  if (engine === 'tfjs') {
    const { createTfjsRuntime } = await import('@tideway/runtime-tfjs')
    const { tfjsModel } = await import('./tfjs-model.js')
    const layers = [
      { data: first, shape: [FEATURES, UNITS] },
      { data: last, shape: [UNITS, CLASSES] },
    ] as const
    return [createTfjsRuntime(), tfjsModel(...layers)]
  }
  const { createOnnxWebRuntime } = await import('@tideway/runtime-onnx-web')
  return [createOnnxWebRuntime(), onnxModel()]
}

async function inference(runtime: Runtime, model: Uint8Array, provider: string): Promise<Measured> {
  const begin = performance.now()
  const session = await runtime.load(model, { provider })
  const loadMs = performance.now() - begin
  const inputs = { x: { dtype: 'float32', shape: [BATCH, FEATURES], data: rows } } as const
  try {
    const { y } = await session.run(inputs)
    const apart = Math.max(...knownAnswer().map((value, at) => Math.abs(value - Number(y!.data[at]))))
    // Not a number is not within either.
    if (!(apart <= TOLERANCE)) throw new Error(`its answer is ${apart.toPrecision(3)} off what arithmetic says`)
    const start = performance.now()
    let runs = 0
    for (; performance.now() - start < INFER_MS; runs += 1) await session.run(inputs)
    return { loadMs, inferredPerSecond: (runs * BATCH * 1000) / (performance.now() - start) }
  } finally {
    await session.dispose()
  }
}

/** Rows of classes that lie apart: any classifier learns them. */
function lessons(count: number): TrainData {
  const [inputs, noise] = [new Float32Array(count * FEATURES), wave(count * FEATURES, 5)]
  const targets = Int32Array.from({ length: count }, (_, row) => row % CLASSES)
  for (const [row, label] of targets.entries())
    for (let at = 0; at < FEATURES; at += 1)
      inputs[row * FEATURES + at] = noise[row * FEATURES + at]! * 0.3 + (at % CLASSES === label ? 1 : 0)
  return {
    inputs: { dtype: 'float32', shape: [count, FEATURES], data: inputs },
    targets: { dtype: 'int32', shape: [count], data: targets },
  }
}

const job: NetworkJob = {
  network: {
    input: { name: 'x', shape: [FEATURES] },
    output: { name: 'y' },
    layers: [
      { type: 'dense', units: UNITS, activation: 'relu' },
      { type: 'dense', units: CLASSES, activation: 'softmax' },
    ],
  },
  loss: 'softmaxCrossEntropy',
  optimizer: { type: 'adam', learningRate: 0.002 },
  batchSize: BATCH,
  epochs: 4,
  seed: 1,
}

async function training(provider: string): Promise<number> {
  const { createOnnxTrainer } = await import('@tideway/trainer-onnx')
  const { metrics, samplesPerSecond } = await createOnnxTrainer({ provider }).fit(job, {
    // A driver that computes on the CPU takes its time.
    train: lessons(provider === 'cpu' ? 8_192 : 2_048),
    validation: lessons(512),
  })
  const accuracy = metrics['valAccuracy'] ?? 0
  if (!(accuracy >= LEAST_ACCURACY)) throw new Error(`it learned ${accuracy} of what anything learns`)
  return samplesPerSecond
}
