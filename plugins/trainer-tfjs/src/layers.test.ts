import * as tf from '@tensorflow/tfjs-core'
import type { NetworkConfig, NetworkJob, Tensor, TrainData } from '@tideway/core'
import { readModel } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { chooseBackend, onBackend } from '@tideway/runtime-tfjs/backends'
import { describeWithGpu } from '@tideway/test/support/vulkan'
import { createOnnxTrainer } from '@tideway/trainer-onnx'
import { trainableOf, unpack } from '@tideway/training'
import { describe, expect, it } from 'vitest'
import { count, numbers } from '../../../runtimes/training/src/layers/run.fixture.js'
import { Program } from './graph/program.js'
import { NETWORKS } from './networks.fixture.js'
import { createTfjsTrainer } from './trainer.js'

const ROWS = 12

/** What a network takes: indices for an embedding, a category and a number that may be missing for a table. */
function rowsFor({ input, layers: [first] }: NetworkConfig): Tensor {
  const values = numbers(ROWS * count(input.shape), 3)
  const data = values.map((value, at) => {
    if (first?.type === 'embedding') return Math.floor((value + 1) * 2)
    if (first?.type !== 'columns') return value
    return at % 2 === 1 ? (at % 3 === 0 ? 1 : 0) : at === 4 ? Number.NaN : value * 3
  })
  return { dtype: 'float32', shape: [ROWS, ...input.shape], data }
}

const jobFor = (network: NetworkConfig): NetworkJob => ({
  network,
  loss: 'meanSquaredError',
  optimizer: { type: 'sgd', learningRate: 0.05, momentum: 0.9 },
  batchSize: 5,
  epochs: 2,
  seed: 11,
})

function dataFor(network: NetworkConfig): TrainData {
  const { shape } = trainableOf(network).output
  const targets = { dtype: 'float32', shape: [ROWS, ...shape], data: numbers(ROWS * count(shape), 5) } as const
  return { inputs: rowsFor(network), targets }
}

const weightsIn = (checkpoint: Uint8Array) =>
  (unpack(checkpoint) as { parameters: Record<string, Float32Array> }).parameters

const far = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (value, at) => Math.abs(value - (b[at] as number)) / Math.max(1, Math.abs(value))))

const cases = Object.entries(NETWORKS).flatMap(([type, all]) =>
  all.map((network, at) => [all.length === 1 ? type : `${type} ${at + 1}`, network] as const),
)

/** What a shipped file answers on TensorFlow.js and on ONNX Runtime. */
async function answers(onnx: Uint8Array, network: NetworkConfig, backend: string) {
  const inputs = rowsFor(network)
  const session = await createOnnxNodeRuntime().load(onnx)
  const { [network.output.name]: expected } = await session.run({ [network.input.name]: inputs })
  await session.dispose()
  const { engine } = await chooseBackend([backend])
  const y = await onBackend(engine, () => {
    const x = tf.tensor(inputs.data as Float32Array, [...inputs.shape])
    return new Program(readModel(onnx)).run({ [network.input.name]: x })[network.output.name]
  })
  expect(y?.shape).toEqual(expected?.shape)
  return { expected: expected?.data as Float32Array, given: (await y?.data()) as Float32Array }
}

describe.each(['cpu', 'wasm'])('a network trained on TensorFlow.js, on its backend %s', (backend) => {
  // Float32 sums in another order; six steps with momentum carry a difference on.
  it.each(cases)('has the weights that ONNX Runtime gives it, and answers as it does: %s', async (_, network) => {
    const train = dataFor(network)
    const [ours, theirs] = [
      await createTfjsTrainer({ backends: [backend] }).fit(jobFor(network), { train }),
      await createOnnxTrainer({ threads: 1 }).fit(jobFor(network), { train }),
    ]
    const [weights, expected] = [weightsIn(ours.checkpoint), weightsIn(theirs.checkpoint)]
    expect(Object.keys(weights)).toEqual(Object.keys(expected))
    for (const [name, values] of Object.entries(expected))
      expect(far(values, weights[name] as Float32Array), name).toBeLessThan(1e-4)
    expect(far([theirs.metrics['loss'] as number], [ours.metrics['loss'] as number])).toBeLessThan(1e-4)
    const answer = await answers(ours.onnx, network, backend)
    expect(far(answer.expected, answer.given)).toBeLessThan(1e-4)
  })
})

describeWithGpu('a network on TensorFlow.js, on its backend webgpu', () => {
  it.each(cases)('answers as ONNX Runtime does: %s', async (_, network) => {
    const { onnx } = await createOnnxTrainer({ threads: 1 }).fit(jobFor(network), { train: dataFor(network) })
    const answer = await answers(onnx, network, 'webgpu')
    expect(far(answer.expected, answer.given)).toBeLessThan(1e-4)
  })
})
