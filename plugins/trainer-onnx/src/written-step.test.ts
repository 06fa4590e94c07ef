import type { Tensor, TrainData, TrainJob } from '@tideway/core'
import { findInitializer, graphOf, readModel, toTensor } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { cornersData, cornersJob } from '@tideway/test/contract/trainer'
import { backbone, patterns, SIDE } from '@tideway/test/support/backbone'
import { type StepOptions, shuffledRows as shuffled, writeTrainingStep } from '@tideway/training'
import { describe, expect, it } from 'vitest'
import { createOnnxTrainer } from './trainer.js'

const scalar = (dtype: 'float32' | 'int64', value: number): Tensor =>
  dtype === 'float32'
    ? { dtype, shape: [], data: Float32Array.of(value) }
    : { dtype, shape: [], data: BigInt64Array.of(BigInt(value)) }

const weightOf = (onnx: Uint8Array, name: string): Float32Array =>
  toTensor(findInitializer(graphOf(readModel(onnx)), name)!).data as Float32Array

/** Runs the written step over the rows in the trainer's order; the parameters and the mean loss of each epoch. */
async function follow(job: TrainJob & { rate: number }, train: TrainData, options: StepOptions = {}) {
  const { onnx, carried, initial, parameters, kept } = writeTrainingStep(job, options)
  const session = await createOnnxNodeRuntime({ intraOpThreads: 1 }).load(onnx)
  const taken = new Set(session.signature.inputs.map(({ name }) => name))
  const width = train.inputs.data.length / train.inputs.shape[0]!
  let now: Record<string, Tensor> = { ...initial }
  let number = 0
  const losses: number[] = []
  for (let epoch = 0; epoch < job.epochs; epoch++) {
    const order = shuffled(train.inputs.shape[0]!, job.seed, epoch)
    let sum = 0
    for (let at = 0; at < order.length; at += job.batchSize) {
      const rows = [...order.subarray(at, at + job.batchSize)]
      const all = train.inputs.data as Float32Array
      const inputs = rows.flatMap((row) => [...all.subarray(row * width, (row + 1) * width)])
      const fed: Record<string, Tensor> = {
        rows: {
          dtype: 'float32',
          shape: [rows.length, ...train.inputs.shape.slice(1)],
          data: Float32Array.from(inputs),
        },
        targets: {
          dtype: 'int32',
          shape: [rows.length],
          data: Int32Array.from(rows, (row) => Number(train.targets.data[row])),
        },
        learning_rate: scalar('float32', job.rate),
        step: scalar('int64', ++number),
        ...kept,
        ...now,
      }
      const out = await session.run(Object.fromEntries(Object.entries(fed).filter(([name]) => taken.has(name))))
      now = Object.fromEntries(Object.entries(carried).map(([from, to]) => [from, out[to]!]))
      sum += Number(out['loss']?.data[0]) * rows.length
    }
    losses.push(sum / order.length)
  }
  await session.dispose()
  const values = Object.entries(parameters).map(([name, { tensor, offset, shape }]) => {
    const count = shape.reduce((product, size) => product * size, 1)
    return [name, (now[tensor]!.data as Float32Array).slice(offset, offset + count)] as const
  })
  return { values: Object.fromEntries(values), losses }
}

describe('a training step written as one file', () => {
  it.each([
    ['adam', { type: 'adam', learningRate: 0.02 }],
    ['sgd without momentum, which does not count steps', { type: 'sgd', learningRate: 0.1 }],
    ['adamw, whose decay leaves biases alone', { type: 'adamw', learningRate: 0.02, weightDecay: 0.01 }],
  ] as const)('trains as the trainer does: %s', async (_, optimizer) => {
    const job = { ...cornersJob, optimizer, batchSize: 20, epochs: 3, rate: optimizer.learningRate }
    const train = cornersData(120, 1)
    const { values, losses } = await follow(job, train)
    const { onnx, history } = await createOnnxTrainer({ threads: 1 }).fit(job, { train })
    expect(Object.keys(values)).toHaveLength(4)
    for (const [name, data] of Object.entries(values)) {
      const wanted = weightOf(onnx, name)
      // The trainer runs eight steps as one graph; sums may be in another order.
      expect(Math.max(...data.map((value, at) => Math.abs(value - wanted[at]!))), name).toBeLessThan(1e-5)
    }
    for (const [epoch, loss] of losses.entries()) expect(loss).toBeCloseTo(history[epoch]!['loss']!, 5)
  })

  it('trains a head on a frozen backbone as the trainer does, and carries the head alone', async () => {
    const { pixels, labels } = patterns(90, 1)
    const train: TrainData = {
      inputs: { dtype: 'float32', shape: [90, 1, SIDE, SIDE], data: Float32Array.from(pixels, (value) => value / 255) },
      targets: { dtype: 'int32', shape: [90], data: labels },
    }
    const optimizer = { type: 'adam', learningRate: 0.02 } as const
    const job: TrainJob & { rate: number } = {
      base: { freeze: ['*'], head: { classes: 3 } },
      loss: 'softmaxCrossEntropy',
      optimizer,
      batchSize: 15,
      epochs: 2,
      seed: 3,
      rate: optimizer.learningRate,
    }
    const base = backbone()
    expect(Object.keys(writeTrainingStep(job, { base }).parameters)).toEqual(['head/kernel', 'head/bias'])
    const { values, losses } = await follow(job, train, { base })
    const { onnx, history } = await createOnnxTrainer({ threads: 1 }).fit(job, { train, base })
    for (const [name, data] of Object.entries(values)) {
      const wanted = weightOf(onnx, name)
      expect(Math.max(...data.map((value, at) => Math.abs(value - wanted[at]!))), name).toBeLessThan(1e-5)
    }
    for (const [epoch, loss] of losses.entries()) expect(loss).toBeCloseTo(history[epoch]!['loss']!, 5)
  })

  it('refuses what one file cannot be, naming each field', () => {
    const job: TrainJob = {
      ...cornersJob,
      optimizer: { type: 'adam', learningRate: 0.02, accumulate: 2 },
      balance: 'weights',
      batchSize: 0,
    }
    expect(() => writeTrainingStep(job)).toThrow(/batchSize: /)
    expect(() => writeTrainingStep({ ...job, batchSize: 4 })).toThrow(/optimizer\.accumulate: .*balance: /)
  })
})
