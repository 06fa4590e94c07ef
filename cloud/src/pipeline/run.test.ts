import type { PipelineConfig } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { ranPipeline } from './pipeline.fixture.js'

const ROWS = 300
const WIDTH = 6
/** Rows on a line through the space of six numbers, with an end of it as the class. */
const line: PipelineConfig['data'] = () => {
  const along = Float32Array.from({ length: ROWS }, (_, row) => Math.sin(row * 7.3))
  return {
    inputs: {
      dtype: 'float32',
      shape: [ROWS, WIDTH],
      data: Float32Array.from(
        { length: ROWS * WIDTH },
        (_, at) => along[Math.floor(at / WIDTH)]! * ((at % WIDTH) - 2.5),
      ),
    },
    targets: { dtype: 'int32', shape: [ROWS], data: Int32Array.from(along, (value) => (value > 0 ? 1 : 0)) },
  }
}
const input = { name: 'x', shape: [WIDTH] }
const output = { name: 'y' }

describe('a pipeline', () => {
  it('is one of classes whatever arguments its loss has', async () => {
    const classifier = (loss: PipelineConfig['loss']): PipelineConfig => ({
      model: 'ends',
      data: line,
      network: { input, output, layers: [{ type: 'dense', units: 2, activation: 'softmax' }] },
      optimizer: { type: 'adam', learningRate: 0.05 },
      ...(loss && { loss }),
    })
    const plain = await ranPipeline(classifier('softmaxCrossEntropy'))
    const smoothed = await ranPipeline(classifier({ type: 'softmaxCrossEntropy', labelSmoothing: 0.1 }))
    const kinds = ({ manifest }: typeof plain) => (manifest.profile?.statistics ?? []).map(({ kind }) => kind)
    expect(kinds(plain)).toContain('class')
    expect(kinds(smoothed)).toEqual(kinds(plain))
    expect(smoothed.result.evaluation['fp32']?.accuracy).toBeGreaterThan(0.9)
  })

  it('holds a reconstruction against the rows, whatever their targets are', async () => {
    const { result } = await ranPipeline({
      model: 'line',
      data: line,
      network: {
        input,
        output,
        layers: [
          { type: 'dense', units: 1 },
          { type: 'dense', units: WIDTH },
        ],
      },
      loss: 'reconstruction',
      optimizer: { type: 'adam', learningRate: 0.02 },
      batchSize: 16,
      epochs: 60,
    })
    for (const precision of ['fp32', 'int8']) {
      expect(result.evaluation[precision]?.accuracy).toBeUndefined()
      expect(result.evaluation[precision]?.explained).toBeGreaterThan(0.98)
    }
  })
})
