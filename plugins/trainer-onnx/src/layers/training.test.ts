import { type LayerConfig, layers, type NetworkConfig } from '@tideway/core'
import { expect, it } from 'vitest'
import { createOnnxTrainer } from '../trainer.js'
import { dsCnn, resnet8 } from './networks.fixture.js'
import { count, numbers } from './run.fixture.js'

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
