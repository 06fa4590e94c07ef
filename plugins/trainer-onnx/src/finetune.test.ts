import type { TrainContext, TrainData, TrainJob } from '@tideway/core'
import { backbone, bitsOf, patterns, SIDE } from '@tideway/test/support/backbone'
import { describe, expect, it } from 'vitest'
import { createOnnxTrainer } from './trainer.js'

const FROZEN = ['backbone.conv.weight', 'backbone.conv.bias']

function rows(count: number, seed: number): TrainData {
  const { pixels, labels } = patterns(count, seed)
  return {
    inputs: {
      dtype: 'float32',
      shape: [count, 1, SIDE, SIDE],
      data: Float32Array.from(pixels, (value) => value / 255),
    },
    targets: { dtype: 'int32', shape: [count], data: labels },
  }
}

const base = backbone()
const train = rows(120, 1)
const job: TrainJob = {
  base: { freeze: ['backbone.*'], head: { classes: 3 } },
  loss: 'softmaxCrossEntropy',
  optimizer: { type: 'adam', learningRate: 0.02 },
  batchSize: 16,
  epochs: 6,
  seed: 3,
}
const fit = (changes: Partial<TrainJob> = {}, context: Partial<TrainContext> = {}) =>
  createOnnxTrainer({ threads: 1 }).fit({ ...job, ...changes }, { train, base, ...context })

describe('an ONNX model that is trained further', () => {
  it('learns other classes with a new head, and its frozen weights stay as they are, bit for bit', async () => {
    const { metrics, history, onnx, notes } = await fit({}, { validation: rows(60, 2) })
    expect(metrics['valAccuracy']).toBeGreaterThan(0.95)
    expect(history.at(-1)?.['loss']).toBeLessThan((history[0]?.['loss'] ?? 0) / 2)
    for (const name of FROZEN) expect(bitsOf(onnx, name)).toEqual(bitsOf(base, name))
    expect(bitsOf(onnx, 'fc.weight')).toBeUndefined()
    expect(notes?.join('\n')).toMatch(/2 tensors .* are trained, 2 tensors .* are frozen/)
  })

  it('trains every weight where none is frozen', async () => {
    const { onnx } = await fit({ base: {}, epochs: 1 })
    for (const name of [...FROZEN, 'fc.weight', 'fc.bias']) {
      expect(bitsOf(onnx, name)).toBeDefined()
      expect(bitsOf(onnx, name)).not.toEqual(bitsOf(base, name))
    }
  })

  it('goes on from any epoch as if it had not stopped', async () => {
    const checkpoints: Uint8Array[] = []
    const whole = await fit({ epochs: 3 }, { onCheckpoint: async (bytes) => void checkpoints.push(bytes.slice()) })
    expect(checkpoints).toHaveLength(3)
    for (const resumeFrom of checkpoints) {
      const resumed = await fit({ epochs: 3 }, { resumeFrom })
      expect(Buffer.compare(resumed.onnx, whole.onnx)).toBe(0)
      expect(resumed.metrics).toEqual(whole.metrics)
    }
  })

  it('does not go on from a run of another file, or with other weights frozen', async () => {
    const { checkpoint: resumeFrom } = await fit({ epochs: 1 })
    const other = base.slice()
    const kernel = bitsOf(base, 'fc.bias')!
    const at = Buffer.from(other).indexOf(kernel)
    other[at] = (other[at] ?? 0) ^ 1
    await expect(fit({}, { resumeFrom, base: other })).rejects.toMatchObject({ code: 'CHECKPOINT_MISMATCH' })
    await expect(fit({ base: { head: { classes: 3 } } }, { resumeFrom })).rejects.toMatchObject({
      code: 'CHECKPOINT_MISMATCH',
    })
  })
})

describe('a job with a base model that is not right', () => {
  const network: TrainJob['network'] = {
    input: { name: 'x', shape: [2] },
    output: { name: 'y' },
    layers: [{ type: 'dense', units: 2 }],
  }

  it('is refused, with everything that is wrong, whether it is of the job or of what is done to the model', async () => {
    const bad = fit({ batchSize: 0, base: { freeze: ['backbon.*'], head: { classes: 3 } } })
    await expect(bad).rejects.toMatchObject({ code: 'TRAIN_CONFIG_INVALID' })
    await expect(bad).rejects.toThrow(/base\.freeze: "backbon\.\*" matches no weight.*batchSize: /)
  })

  it.each([
    ['both a network and a model', { network }, {}, /base: a job has either a network or a base model/],
    ['neither', { base: undefined }, {}, /network: a job has either a network or a base model/],
    ['a head that the loss does not take', { loss: 'sigmoidCrossEntropy' }, {}, /base: sigmoidCrossEntropy needs sig/],
  ] as const)('is refused: %s', async (_name, changes, context, message) => {
    await expect(fit(changes, context)).rejects.toThrow(message)
  })

  it('is refused without the model', async () => {
    await expect(createOnnxTrainer().fit(job, { train })).rejects.toThrow(/base: the model is missing/)
  })

  it('takes rows of the shape that the model has', async () => {
    const flat = { ...train, inputs: { ...train.inputs, shape: [120, SIDE * SIDE] } as TrainData['inputs'] }
    await expect(fit({}, { train: flat })).rejects.toMatchObject({ code: 'TRAIN_DATA_INVALID' })
  })
})
