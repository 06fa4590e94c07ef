import { type NetworkConfig, type NetworkJob, type OptimizerConfig, resolveOptimizer } from '@tideway/core'
import { cornersData, cornersJob } from '@tideway/test/contract/trainer'
import {
  feederOptions,
  initialValues,
  layoutOf,
  openFeeder,
  release,
  trainableOf,
  trainingGraph,
} from '@tideway/training'
import { describe, expect, it } from 'vitest'
import { Engine } from './engine.js'
import { pieceOf } from './updater.js'

const data = cornersData(90, 1)
const networkOf = (units: number): NetworkConfig => ({
  ...cornersJob.network,
  layers: [
    { type: 'dense', units, activation: 'tanh' },
    { type: 'batchNormalization' },
    { type: 'dense', units, activation: 'relu', name: 'middle' },
    { type: 'dropout', rate: 0.2 },
    { type: 'dense', units: 3, activation: 'softmax' },
  ],
})

/** Everything that two epochs leave, the last batch of each smaller. */
async function trained(optimizerConfig: OptimizerConfig, piece?: number, network = networkOf(70)) {
  const job: NetworkJob = { ...cornersJob, network, optimizer: optimizerConfig, batchSize: 16 }
  const { batchSize, seed, loss } = job
  const trainable = trainableOf(network)
  const optimizer = resolveOptimizer(optimizerConfig)
  const layout = layoutOf(optimizer, trainable)
  const parameters = initialValues(trainable, seed)
  const statistics = Object.fromEntries(trainable.statistics.map((spec) => [spec.name, spec.initial()]))
  const options = {
    loss,
    optimizer,
    network: trainable,
    layout,
    rowsType: 'float32',
    batchSize,
    seed,
    initial: { parameters, state: {}, statistics },
  } as const
  const feeder = (stepsARun: number) => openFeeder(feederOptions(job, trainable, data, stepsARun))
  const engine = new Engine({ ...options, feeder, threads: () => 1, ...(piece === undefined ? {} : { piece }) })
  const losses: number[] = []
  for (const epoch of [0, 1])
    for await (const { loss: one } of engine.epoch(epoch, 1 + epoch * engine.steps, () => 0.02)) losses.push(one)
  await engine.dispose()
  return {
    losses,
    parameters: engine.weights.parameters(),
    state: engine.weights.state(),
    statistics: engine.weights.statistics(),
  }
}

/** Slots whose gradients the last batch of a step gives as factors. */
function factoredBy(optimizerConfig: OptimizerConfig, network = networkOf(300), before = 0): string[] {
  const optimizer = resolveOptimizer(optimizerConfig)
  const trainable = trainableOf(network)
  const layout = layoutOf(optimizer, trainable)
  const frozen = () => new Float32Array(0)
  const { loss } = cornersJob
  const order = {
    loss,
    optimizer,
    network: trainable,
    layout,
    rowsType: 'float32',
    softTargets: false,
    frozen,
  } as const
  return [...trainingGraph(order, { rows: 16, before, last: true, apart: true }).factored]
}

describe('an update in pieces', () => {
  const optimizers: Record<string, OptimizerConfig> = {
    'sgd with momentum and decay': {
      type: 'sgd',
      learningRate: 0.02,
      momentum: 0.9,
      nesterov: true,
      weightDecay: 0.01,
    },
    adam: { type: 'adam', learningRate: 0.02 },
    'adamw of three batches, clipped by each norm': {
      type: 'adamw',
      learningRate: 0.02,
      accumulate: 3,
      clipNorm: 0.1,
    },
    'centered rmsprop, clipped by value': { type: 'rmsprop', learningRate: 0.02, centered: true, clipValue: 0.01 },
    'lion with an average, two batches, clipped together': {
      type: 'lion',
      learningRate: 0.02,
      accumulate: 2,
      globalClipNorm: 0.1,
      ema: { momentum: 0.9 },
    },
  }
  for (const [name, optimizer] of Object.entries(optimizers))
    it(`is bit for bit that of one graph: ${name}`, async () => {
      // 4,900 elements of the larger kernel: 13 whole pieces and a rest that no vector register is full of.
      expect(await trained(optimizer, 367)).toEqual(await trained(optimizer))
    })

  // Each element is the same sum over the batch, in the same order, in whichever piece it is.
  it('is bit for bit that of one graph where a gradient is given as its factors', async () => {
    const network = networkOf(300)
    const optimizer = { type: 'adam', learningRate: 0.02 } as const
    expect(factoredBy(optimizer, network)).toEqual(['middle/kernel'])
    const whole = await trained(optimizer, undefined, network)
    // 300 rows: 23 pieces of 13 and a row that is left, or each by itself.
    expect(await trained(optimizer, 4001, network)).toEqual(whole)
    expect(await trained(optimizer, 301, network)).toEqual(whole)
  })

  it('is given gradients as a whole where they are clipped or added to', () => {
    expect(factoredBy({ type: 'sgd', learningRate: 1 })).toHaveLength(1)
    expect(factoredBy({ type: 'sgd', learningRate: 1, accumulate: 2 }, networkOf(300), 1)).toHaveLength(0)
    expect(factoredBy({ type: 'sgd', learningRate: 1, globalClipNorm: 1 })).toHaveLength(0)
  })

  it('is for networks of more than four million trained parameters', () => {
    const layout = (units: number) => {
      const layers = [{ type: 'dense', units, useBias: false }] as const
      return layoutOf(
        resolveOptimizer({ type: 'sgd', learningRate: 1 }),
        trainableOf({ ...cornersJob.network, input: { name: 'x', shape: [1024] }, layers }),
      )
    }
    expect(pieceOf(layout(4096))).toBeUndefined()
    expect(pieceOf(layout(4097))).toBeGreaterThan(0)
  })
})

it('frees an array at once', () => {
  const array = new Float32Array(10)
  release(array)
  expect(array).toHaveLength(0)
})
