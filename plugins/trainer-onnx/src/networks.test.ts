import { type LayerConfig, layers, type NetworkConfig } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { dsCnn, resnet8 } from '../../../runtimes/training/src/layers/networks.fixture.js'
import { count, numbers } from '../../../runtimes/training/src/layers/run.fixture.js'
import { createOnnxTrainer } from './trainer.js'

const CLASSES = 10
const series = (...all: LayerConfig[]): NetworkConfig => ({
  input: { name: 'x', shape: [6, 4] },
  output: { name: 'y' },
  layers: [...all, layers.dense({ units: CLASSES, activation: 'softmax' })],
})

const NETWORKS: readonly (readonly [string, NetworkConfig])[] = [
  ['ResNet-8', resnet8()],
  ['DS-CNN', dsCnn()],
  ['a bidirectional lstm', series(layers.bidirectional({ layer: { type: 'lstm', units: 4, dropout: 0.2 } }))],
  [
    'attention',
    series(
      layers.multiHeadAttention({ numHeads: 2, keyDim: 3, dropout: 0.1 }),
      layers.layerNormalization(),
      layers.globalAveragePooling1d(),
    ),
  ],
]

it.each(NETWORKS)('trains %s by config below the loss of a guess', async (_, network) => {
  const rows = 64
  const size = count(network.input.shape)
  const targets = Int32Array.from({ length: rows }, (_row, row) => row % CLASSES)
  // Each class is a shade of its own.
  const data = numbers(rows * size, 3).map((value, at) => value + (Math.floor(at / size) % CLASSES) / 3)
  const { metrics } = await createOnnxTrainer().fit(
    {
      network,
      loss: 'softmaxCrossEntropy',
      optimizer: { type: 'adam', learningRate: 0.01 },
      batchSize: 16,
      epochs: 4,
      seed: 1,
    },
    {
      train: {
        inputs: { dtype: 'float32', shape: [rows, ...network.input.shape], data },
        targets: { dtype: 'int32', shape: [rows], data: targets },
      },
    },
  )
  expect(metrics['loss']).toBeLessThan(Math.log(CLASSES))
})

describe('a relu before max pooling', () => {
  it('is taken behind it while training, to the same bits', async () => {
    const rows = 64
    const data = {
      inputs: {
        dtype: 'float32',
        shape: [rows, 6, 6, 1],
        data: Float32Array.from({ length: rows * 36 }, (_, at) => Math.sin(at * 1.3)),
      },
      targets: { dtype: 'int32', shape: [rows], data: Int32Array.from({ length: rows }, (_, row) => row % 3) },
    } as const
    const fit = (...between: NetworkConfig['layers']) =>
      createOnnxTrainer({ threads: 1 }).fit(
        {
          network: {
            input: { name: 'x', shape: [6, 6, 1] },
            output: { name: 'y' },
            layers: [
              { type: 'conv2d', filters: 4, kernelSize: 3, padding: 'same', activation: 'relu', name: 'conv' },
              ...between,
              { type: 'maxPooling2d', name: 'pool' },
              { type: 'flatten', name: 'flat' },
              { type: 'dense', units: 3, activation: 'softmax', name: 'head' },
            ],
          },
          loss: 'softmaxCrossEntropy',
          optimizer: { type: 'adam', learningRate: 0.01 },
          batchSize: 16,
          epochs: 3,
          seed: 1,
        },
        { train: data },
      )
    // A layer between keeps the relu where it stands.
    const [moved, kept] = [await fit(), await fit({ type: 'activation', activation: 'linear', name: 'between' })]
    expect(moved.history).toEqual(kept.history)
  })
})
