import '@tensorflow/tfjs-backend-cpu'
import * as tf from '@tensorflow/tfjs-core'
import type { NetworkConfig, NetworkJob, Tensor, TrainData } from '@tideway/core'
import { readModel } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
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

describe('a network trained on TensorFlow.js', () => {
  // Float32 sums in another order; four steps with momentum carry a difference on.
  it.each(cases)('has the weights that ONNX Runtime gives it, and answers as it does: %s', async (_, network) => {
    const train = dataFor(network)
    const [ours, theirs] = [
      await createTfjsTrainer({ backend: 'cpu' }).fit(jobFor(network), { train }),
      await createOnnxTrainer({ threads: 1 }).fit(jobFor(network), { train }),
    ]
    const [weights, expected] = [weightsIn(ours.checkpoint), weightsIn(theirs.checkpoint)]
    expect(Object.keys(weights)).toEqual(Object.keys(expected))
    for (const [name, values] of Object.entries(expected))
      expect(far(values, weights[name] as Float32Array), name).toBeLessThan(1e-4)
    expect(far([theirs.metrics['loss'] as number], [ours.metrics['loss'] as number])).toBeLessThan(1e-4)

    const session = await createOnnxNodeRuntime().load(ours.onnx)
    const { [network.output.name]: answer } = await session.run({ [network.input.name]: train.inputs })
    const program = new Program(readModel(ours.onnx))
    const x = tf.tensor(train.inputs.data as Float32Array, [...train.inputs.shape])
    const { [network.output.name]: y } = program.run({ [network.input.name]: x })
    expect(y?.shape).toEqual(answer?.shape)
    expect(far(answer?.data as Float32Array, (await y?.data()) as Float32Array)).toBeLessThan(1e-4)
    await session.dispose()
  })
})
