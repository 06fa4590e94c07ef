import type { LossConfig, NetworkConfig, OptimizerConfig, TrainData, TrainJob } from '@tideway/core'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { cornersData, cornersJob, lineData } from '@tideway/test/contract/trainer'
import { describe, expect, it } from 'vitest'
import { createOnnxTrainer } from './trainer.js'

const trainer = createOnnxTrainer({ threads: 1 })
const train = cornersData(96, 1)
const validation = cornersData(60, 2)

/** Runs a job whole, and again from each of its checkpoints: all must ship the same bytes. */
async function fitAndResume(job: TrainJob, data: TrainData = train) {
  const checkpoints: Uint8Array[] = []
  const context = { train: data, validation: data }
  const keep = async (bytes: Uint8Array) => void checkpoints.push(bytes.slice())
  const whole = await trainer.fit(job, { ...context, onCheckpoint: keep })
  for (const resumeFrom of checkpoints) {
    const resumed = await trainer.fit(job, { ...context, resumeFrom })
    expect(Buffer.compare(resumed.onnx, whole.onnx)).toBe(0)
    expect(resumed.history).toEqual(whole.history)
  }
  return whole
}

const withLayers = (...layers: NetworkConfig['layers']): NetworkConfig => ({ ...cornersJob.network, layers })
const head = { type: 'dense', units: 3, activation: 'softmax' } as const

describe('optimizers', () => {
  const rates: Record<string, OptimizerConfig> = {
    'sgd with Nesterov momentum and decay': {
      type: 'sgd',
      learningRate: 0.1,
      momentum: 0.9,
      nesterov: true,
      weightDecay: 0.01,
    },
    'adam, clipped by each norm': { type: 'adam', learningRate: 0.03, clipNorm: 0.5 },
    'adamw on a cosine': { type: 'adamw', learningRate: { type: 'cosine', maximum: 0.05, warmupShare: 0.2 } },
    'centered rmsprop, clipped by value': {
      type: 'rmsprop',
      learningRate: 0.01,
      momentum: 0.5,
      centered: true,
      clipValue: 0.1,
    },
    'lion with an average, clipped together': {
      type: 'lion',
      learningRate: 0.01,
      globalClipNorm: 1,
      ema: { momentum: 0.9 },
    },
    'sgd of three batches a step': { type: 'sgd', learningRate: 0.3, momentum: 0.5, accumulate: 3, clipNorm: 5 },
    'adam on one cycle': { type: 'adam', learningRate: { type: 'oneCycle', maximum: 0.1 }, ema: {} },
    'sgd reduced on a plateau': {
      type: 'sgd',
      learningRate: { type: 'reduceOnPlateau', initial: 2, patience: 1, factor: 0.3 },
    },
  }
  for (const [name, optimizer] of Object.entries(rates))
    it(`${name}: learns, and goes on from each epoch to the same bytes`, async () => {
      const { history } = await fitAndResume({ ...cornersJob, optimizer, epochs: 8 })
      expect(history).toHaveLength(8)
      expect(history.at(-1)?.valLoss).toBeLessThan((history[0]?.valLoss ?? 0) * 0.9)
    })

  it('accumulate: two batches of 16 a step are one of 32', async () => {
    const job = { ...cornersJob, epochs: 3 } as const
    const optimizer = { type: 'adam', learningRate: 0.02 } as const
    const whole = await trainer.fit({ ...job, optimizer, batchSize: 32 }, { train, validation })
    const parts = await trainer.fit(
      { ...job, optimizer: { ...optimizer, accumulate: 2 }, batchSize: 16 },
      { train, validation },
    )
    expect(parts.steps).toBe(whole.steps)
    // The same sums in another order.
    for (const [epoch, metrics] of whole.history.entries())
      expect(parts.history[epoch]?.valLoss).toBeCloseTo(metrics['valLoss'] ?? 0, 5)
  })

  it('take the batches that are left at the end of an epoch as a step of their own', async () => {
    const optimizer = { type: 'sgd', learningRate: 0.1, accumulate: 4 } as const
    // 7 batches, the last of 4 rows: steps of 4 and 3.
    const { steps } = await trainer.fit({ ...cornersJob, optimizer, epochs: 2 }, { train: cornersData(100, 1) })
    expect(steps).toBe(4)
  })
})

describe('losses', () => {
  const probabilities = (rows: TrainData): TrainData => ({
    inputs: rows.inputs,
    targets: {
      dtype: 'float32',
      shape: [96, 3],
      data: Float32Array.from({ length: 96 * 3 }, (_, at) =>
        (rows.targets.data as Int32Array)[Math.floor(at / 3)] === at % 3 ? 1 : 0,
      ),
    },
  })
  const line: NetworkConfig = { ...cornersJob.network, layers: [{ type: 'dense', units: 1 }] }
  const cases: Record<string, readonly [LossConfig, NetworkConfig, TrainData]> = {
    'softmaxCrossEntropy with smoothing and weights': [
      { type: 'softmaxCrossEntropy', labelSmoothing: 0.1, classWeights: [1, 2, 0.5] },
      withLayers(head),
      train,
    ],
    sigmoidCrossEntropy: ['sigmoidCrossEntropy', withLayers({ ...head, activation: 'sigmoid' }), probabilities(train)],
    meanAbsoluteError: ['meanAbsoluteError', line, lineData(96, 3)],
    huber: [{ type: 'huber', delta: 0.5 }, line, lineData(96, 3)],
    triplet: [{ type: 'triplet', margin: 2 }, withLayers({ type: 'dense', units: 4 }), train],
    reconstruction: [
      'reconstruction',
      withLayers({ type: 'dense', units: 1, name: 'code' }, { type: 'dense', units: 2 }),
      train,
    ],
  }
  for (const [name, [loss, network, data]] of Object.entries(cases))
    it(`${name} falls, and goes on from each epoch to the same bytes`, async () => {
      const { history } = await fitAndResume(
        { ...cornersJob, network, loss, epochs: 6, optimizer: { type: 'adam', learningRate: 0.05 } },
        data,
      )
      expect(history.at(-1)?.valLoss).toBeLessThan((history[0]?.valLoss ?? 0) * 0.9)
    })
})

describe('networks with randomness and statistics', () => {
  const network = withLayers(
    { type: 'dense', units: 16 },
    { type: 'batchNormalization', momentum: 0.8 },
    { type: 'activation', activation: 'relu' },
    { type: 'dropout', rate: 0.3 },
    { ...head, kernelRegularizer: { type: 'l2', l2: 0.001 } },
  )

  it('go on from each epoch to the same bytes, and learn', async () => {
    const { history } = await fitAndResume({ ...cornersJob, network, epochs: 8 })
    expect(history.at(-1)?.valAccuracy).toBeGreaterThan(0.9)
  })

  it('ship what was evaluated: running statistics, no dropout', async () => {
    const { onnx, history } = await trainer.fit({ ...cornersJob, network, epochs: 4 }, { train, validation })
    const session = await createOnnxNodeRuntime().load(onnx)
    const out = (await session.run({ x: validation.inputs }))['probabilities']?.data as Float32Array
    await session.dispose()
    const losses = Array.from(
      validation.targets.data as Int32Array,
      (label, row) => -Math.log(out[row * 3 + label] ?? 0),
    )
    // float32 sums in another order, and probabilities rounded before their logarithm.
    expect(losses.reduce((sum, loss) => sum + loss, 0) / losses.length).toBeCloseTo(history.at(-1)?.['valLoss'] ?? 0, 5)
  })

  it('drop other units for another seed', async () => {
    const [one, other] = await Promise.all(
      [7, 8].map((seed) => trainer.fit({ ...cornersJob, network, seed, epochs: 1 }, { train })),
    )
    expect(one?.metrics['loss']).not.toBe(other?.metrics['loss'])
  })
})

describe('augmentation and balance', () => {
  const network: NetworkConfig = {
    ...cornersJob.network,
    layers: [{ type: 'dense', units: 8, activation: 'relu' }, { type: 'dropout', rate: 0.1 }, head],
  }
  const jitter = { type: 'jitter', stddev: 0.2 } as const
  const unequal: TrainData = {
    inputs: train.inputs,
    targets: {
      dtype: 'int32',
      shape: [96],
      data: Int32Array.from({ length: 96 }, (_, row) => (row % 12 === 0 ? 1 : 0)),
    },
  }

  for (const [name, more, data] of [
    ['jitter and mixup', { augment: [jitter, { type: 'mixup', alpha: 0.3 }] }, train],
    ['oversampling', { augment: [jitter], balance: 'oversample' }, unequal],
    ['weights', { balance: 'weights' }, unequal],
  ] as const)
    it(`${name}: learns, and goes on from each epoch to the same bytes`, async () => {
      const { history } = await fitAndResume({ ...cornersJob, network, epochs: 6, ...more }, data)
      expect(history.at(-1)?.loss).toBeLessThan(history[0]?.loss ?? 0)
    })

  it('train on as many rows of each class as the largest has', async () => {
    const job = { ...cornersJob, balance: 'oversample', batchSize: 16, epochs: 1 } as const
    // 88 of one and 8 of the other: 176 rows.
    expect((await trainer.fit(job, { train: unequal })).steps).toBe(11)
  })

  it('are refused for rows and losses that they are not for, each with its place', async () => {
    const bad = trainer.fit(
      {
        ...cornersJob,
        loss: 'triplet',
        balance: 'weights',
        augment: [
          { type: 'rotate', degrees: 5 },
          { type: 'mixup', alpha: 1 },
        ],
      },
      { train },
    )
    await expect(bad).rejects.toMatchObject({
      code: 'TRAIN_CONFIG_INVALID',
      data: {
        issues: [/augment\.0: rotate is for images/, /mixup/, /balance: weights/].map((text) =>
          expect.stringMatching(text),
        ),
      },
    })
  })
})

describe('what would train in vain is refused before the first step', () => {
  it('one class alone', async () => {
    const one: TrainData = { ...train, targets: { dtype: 'int32', shape: [96], data: new Int32Array(96).fill(2) } }
    await expect(trainer.fit(cornersJob, { train: one })).rejects.toMatchObject({
      code: 'TRAIN_DATA_INVALID',
      data: { issues: [expect.stringMatching(/every row is of class 2/)] },
    })
  })

  it('a metric that no epoch has', async () => {
    const learningRate = { type: 'reduceOnPlateau', initial: 1, metric: 'f1' } as const
    const job: TrainJob = { ...cornersJob, optimizer: { type: 'sgd', learningRate }, earlyStopping: {} }
    await expect(trainer.fit(job, { train })).rejects.toMatchObject({
      code: 'TRAIN_CONFIG_INVALID',
      data: {
        issues: [/earlyStopping\.metric: "valLoss"/, /learningRate\.metric: "f1"/].map((text) =>
          expect.stringMatching(text),
        ),
      },
    })
  })

  it('rows that are no numbers, also where they are their own targets', async () => {
    const data = Float32Array.from(train.inputs.data as Float32Array)
    data[5] = Number.NaN
    const network = withLayers({ type: 'dense', units: 2 })
    const inputs = { dtype: 'float32', shape: [96, 2], data } as const
    const bad = trainer.fit({ ...cornersJob, network, loss: 'reconstruction' }, { train: { ...train, inputs } })
    await expect(bad).rejects.toMatchObject({ code: 'TRAIN_DATA_INVALID' })
  })

  it('but not more classes than an embedding is wide', async () => {
    const many: TrainData = {
      ...train,
      targets: { dtype: 'int32', shape: [96], data: Int32Array.from({ length: 96 }, (_, row) => row % 6) },
    }
    const network = withLayers({ type: 'dense', units: 2 })
    expect((await trainer.fit({ ...cornersJob, network, loss: 'triplet', epochs: 1 }, { train: many })).epochs).toBe(1)
  })
})

describe('early stopping', () => {
  const job: TrainJob = {
    ...cornersJob,
    optimizer: { type: 'sgd', learningRate: 0.3 },
    epochs: 20,
    earlyStopping: { metric: 'valLoss', patience: 2, minDelta: 0.02 },
  }

  it('ends when the metric gets no better, and ships the best epoch', async () => {
    const { epochs, history, metrics, onnx } = await fitAndResume(job)
    expect(epochs).toBeLessThan(20)
    expect(history).toHaveLength(epochs)
    // Two epochs were waited for.
    const best = epochs - 2
    expect(metrics).toEqual(history[best - 1])
    for (const { valLoss } of history.slice(best))
      expect(valLoss).toBeGreaterThan((history[best - 1]?.['valLoss'] ?? 0) - 0.02)
    const upToBest = await trainer.fit({ ...job, epochs: best }, { train, validation: train })
    expect(Buffer.compare(upToBest.onnx, onnx)).toBe(0)
  })

  it('ships the last epoch where the best is not wanted', async () => {
    const { history, metrics } = await trainer.fit(
      { ...job, earlyStopping: { ...job.earlyStopping, restoreBest: false } },
      { train, validation: train },
    )
    expect(metrics).toEqual(history.at(-1))
  })
})
