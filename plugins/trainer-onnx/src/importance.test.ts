import type { NetworkConfig, TrainData, TrainJob } from '@tideway/core'
import { graphOf, pruneModel, readModel, setInitializer, toTensor, writeModel } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { patterns, SIDE } from '@tideway/test/support/backbone'
import { describe, expect, it } from 'vitest'
import { weightImportance } from './importance.js'
import { createOnnxTrainer } from './trainer.js'

const network: NetworkConfig = {
  input: { name: 'image', shape: [SIDE, SIDE, 1] },
  output: { name: 'p' },
  layers: [
    { type: 'conv2d', filters: 12, kernelSize: 3, padding: 'same', useBias: false },
    { type: 'batchNormalization', momentum: 0.9 },
    { type: 'activation', activation: 'relu', name: 'stem' },
    { type: 'depthwiseConv2d', kernelSize: 3, padding: 'same', name: 'side' },
    { type: 'add', inputs: ['stem', 'side'] },
    { type: 'maxPooling2d' },
    { type: 'conv2d', filters: 8, kernelSize: 3, activation: 'tanh' },
    { type: 'flatten' },
    { type: 'dense', units: 16, activation: 'relu' },
    { type: 'dense', units: 3, activation: 'softmax' },
  ],
}

function rows(count: number, seed: number): TrainData {
  const { pixels, labels } = patterns(count, seed)
  const data = Float32Array.from(pixels, (value) => value / 255)
  return {
    inputs: { dtype: 'float32', shape: [count, ...network.input.shape], data },
    targets: { dtype: 'int32', shape: [count], data: labels },
  }
}

const train = rows(120, 1)
const validation = rows(90, 2)
const job: TrainJob = {
  network,
  loss: 'softmaxCrossEntropy',
  optimizer: { type: 'adam', learningRate: 0.01 },
  batchSize: 16,
  epochs: 6,
  seed: 1,
}
const trainer = createOnnxTrainer({ threads: 1 })
const whole = await trainer.fit(job, { train, validation })

/** Mean loss of a file on rows. */
async function lossOf(onnx: Uint8Array, { inputs, targets }: TrainData): Promise<number> {
  const session = await createOnnxNodeRuntime().load(onnx)
  const { p } = await session.run({ image: inputs })
  await session.dispose()
  const labels = Array.from(targets.data as Int32Array)
  return labels.reduce((sum, label, row) => sum - Math.log(Number(p?.data[row * 3 + label])), 0) / labels.length
}

describe('weightImportance', () => {
  it('is the weight times the slope of the loss, which differences say, too', async () => {
    const few = rows(24, 4)
    const importance = await weightImportance(whole.onnx, few, { loss: 'softmaxCrossEntropy', batchSize: 24 })
    const tensors = new Map(graphOf(readModel(whole.onnx)).initializer.map((item) => [item.name ?? '', toTensor(item)]))
    expect(Object.keys(importance).length).toBeGreaterThan(7)
    for (const [name, values] of Object.entries(importance)) {
      const tensor = tensors.get(name)
      const at = values.indexOf(Math.max(...values))
      const moved = async (by: number): Promise<number> => {
        const model = readModel(whole.onnx)
        const data = Float32Array.from(tensor?.data as Float32Array)
        data[at] = (data[at] ?? 0) + by
        setInitializer(graphOf(model), name, { dtype: 'float32', shape: tensor?.shape ?? [], data })
        return lossOf(writeModel(model), few)
      }
      const h = 2e-3
      const slope = ((await moved(h)) - (await moved(-h))) / (2 * h)
      const wanted = Math.abs(slope * Number(tensor?.data[at]))
      // Probabilities in float32 give the loss to 1e-7, so the slope to 1e-4; kinks of relu add a little.
      expect(Math.abs((values[at] ?? 0) - wanted), name).toBeLessThan(3e-4 + 0.02 * wanted)
    }
  })

  it('is of the mean over all rows, batch by batch', async () => {
    const one = await weightImportance(whole.onnx, rows(8, 3), { loss: 'softmaxCrossEntropy', batchSize: 8 })
    const again = await weightImportance(whole.onnx, rows(8, 3), { loss: 'softmaxCrossEntropy', batchSize: 100 })
    for (const [name, values] of Object.entries(one)) expect(again[name]).toEqual(values)
  })

  it('refuses rows that do not fit the model', async () => {
    const flat = { ...train, inputs: { ...train.inputs, shape: [120, SIDE * SIDE] } } as TrainData
    await expect(weightImportance(whole.onnx, flat, { loss: 'softmaxCrossEntropy' })).rejects.toMatchObject({
      code: 'TRAIN_DATA_INVALID',
    })
  })
})

describe('a network that was pruned', () => {
  it('is a third of its size and as good as before, once it is trained further', async () => {
    expect(whole.metrics['valAccuracy']).toBeGreaterThan(0.95)
    const importance = await weightImportance(whole.onnx, train, { loss: 'softmaxCrossEntropy' })
    const from = pruneModel(whole.onnx, { ratio: 0 }).parameters.from
    const target = Math.floor(from / 3)
    const { onnx, parameters } = pruneModel(whole.onnx, { parameters: target, by: { importance } })
    expect(parameters.to).toBeLessThanOrEqual(target)
    const further = { ...job, network: undefined, base: {}, epochs: 4 }
    const { metrics } = await trainer.fit(further, { train, validation, base: onnx })
    expect(metrics['valAccuracy']).toBeGreaterThan(0.95)
  })
})
