import { createOnnxTrainer } from '@tideway/trainer-onnx'
import { expect, it } from 'vitest'
import pipeline from './conv-pipeline.js'
import { loadDigitImages } from './data.js'

const ROWS = 320

/** Some digits of every class: the data has them class by class. */
async function someDigits() {
  const { inputs, targets } = await loadDigitImages()
  const size = 28 * 28
  const data = new Float32Array(ROWS * size)
  const labels = new Int32Array(ROWS)
  const stride = Math.floor((inputs.shape[0] ?? 0) / ROWS)
  for (let row = 0; row < ROWS; row += 1) {
    const from = row * stride
    for (let at = 0; at < size; at += 1) data[row * size + at] = (inputs.data as Uint8Array)[from * size + at]! / 255
    labels[row] = (targets.data as Int32Array)[from]!
  }
  return {
    inputs: { dtype: 'float32', shape: [ROWS, ...inputs.shape.slice(1)], data },
    targets: { dtype: 'int32', shape: [ROWS], data: labels },
  } as const
}

it('learns from a few hundred digits, augmented as in the pipeline', async () => {
  const { network, loss, augment } = pipeline
  // A rate for the sixty steps that these rows are; the pipeline's rises over hundreds.
  const optimizer = { ...pipeline.optimizer!, learningRate: 0.02 }
  const job = { network: network!, loss: loss!, augment: augment!, optimizer, batchSize: 16 }
  const { history } = await createOnnxTrainer().fit({ ...job, epochs: 3, seed: 1 }, { train: await someDigits() })
  const losses = history.map((metrics) => metrics['loss'] ?? Number.NaN)
  // ln 10 = 2.303 is chance.
  expect(losses.at(-1)).toBeLessThan(2.303 * 0.8)
  expect(losses.at(-1)).toBeLessThan(losses[0] ?? Number.NaN)
})
