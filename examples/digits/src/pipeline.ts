import { definePipeline } from '@tideway/core'
import { loadDigits } from './data.js'

/** A dense network on handwritten digits: the pipeline of `tideway quickstart`. */
export default definePipeline({
  model: 'digits',
  data: loadDigits,
  split: { train: 7_000, validation: 1_000, test: 2_000 },
  network: {
    input: { name: 'image', shape: [784] },
    layers: [
      { type: 'dense', units: 128, activation: 'relu' },
      { type: 'dense', units: 10, activation: 'softmax' },
    ],
    output: { name: 'probabilities' },
  },
  loss: 'softmaxCrossEntropy',
  optimizer: { type: 'sgd', learningRate: 0.1, momentum: 0.9 },
  batchSize: 64,
  epochs: 12,
  gates: { minAccuracy: 0.94, maxAccuracyLoss: 0.005 },
})
