import { definePipeline } from '@tideway/core'
import { loadElectricity } from './data.js'

/**
 * Half-hourly electricity market data: will the price rise? The first layer scales each column by what the training
 * rows showed and is part of the ONNX graph, so devices send raw columns and cannot disagree with the trainer.
 * Split in time order: trained on the past, validated on what followed, tested on the latest.
 */
export default definePipeline({
  model: 'electricity',
  data: loadElectricity,
  split: { train: 0.7, validation: 0.1, test: 0.2, by: 'order' },
  network: {
    input: { name: 'columns', shape: [6] },
    layers: [
      { type: 'normalization' },
      { type: 'dense', units: 64, activation: 'relu' },
      { type: 'dense', units: 32, activation: 'relu' },
      { type: 'dense', units: 2, activation: 'softmax' },
    ],
    output: { name: 'probabilities' },
  },
  batchSize: 256,
  epochs: 20,
  optimizer: { type: 'adam', learningRate: 0.002 },
  gates: { minAccuracy: 0.6, maxAccuracyLoss: 0.01 },
})
