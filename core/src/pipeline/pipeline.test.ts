import { expect, it } from 'vitest'
import { definePipeline, resolvePipeline } from './pipeline.js'

const dataset = {
  inputs: { dtype: 'float32' as const, shape: [100, 2], data: new Float32Array(200) },
  targets: { dtype: 'int32' as const, shape: [100], data: new Int32Array(100) },
}
const pipeline = definePipeline({
  model: 'tiny',
  data: () => dataset,
  network: { input: { name: 'x', shape: [2] }, output: { name: 'y' }, layers: [{ type: 'dense', units: 2 }] },
})
const data = { sha256: 'b'.repeat(64), size: 10 }

it('resolves to plain JSON with every default filled in', () => {
  const spec = resolvePipeline(pipeline, { dataset, data })
  expect(JSON.parse(JSON.stringify(spec))).toEqual(spec)
  expect(spec).toMatchObject({ seed: 1, batchSize: 64, precision: 'int8', aliases: ['latest'] })
  expect(spec.split).toEqual({ train: 70, validation: 10, test: 20, by: 'shuffle', seed: 1 })
})

it("keeps the parent's split, so that held-out rows stay unseen", () => {
  expect(resolvePipeline(pipeline, { dataset, data, seed: 5, splitSeed: 2 }).split.seed).toBe(2)
})

it('names every field that is wrong', () => {
  const bad = { ...pipeline, model: 'No', batchSize: 0, epochs: 1.5 }
  expect(() => resolvePipeline(bad, { dataset, data })).toThrow(/model: .*batchSize: .*epochs: /)
})

const base = { model: 'net.onnx', freeze: ['backbone.*'], head: { classes: 2 } }
const blob = { sha256: 'c'.repeat(64), size: 20 }

it('takes a base model in place of a network, by its blob', () => {
  const { network: _, ...rest } = pipeline
  const spec = resolvePipeline({ ...rest, base }, { dataset, data, base: blob })
  expect(spec.base).toEqual({ ...blob, freeze: ['backbone.*'], head: { classes: 2 } })
  expect(spec.network).toBeUndefined()
})

it('refuses a network and a base model together, neither, and a head that is none', () => {
  const { network: _, ...rest } = pipeline
  expect(() => resolvePipeline({ ...pipeline, base }, { dataset, data, base: blob })).toThrow(
    /either a network or a base/,
  )
  expect(() => resolvePipeline(rest, { dataset, data })).toThrow(/either a network or a base/)
  const both = { ...base, head: { classes: 2, outputs: 1 } }
  expect(() => resolvePipeline({ ...rest, base: both }, { dataset, data, base: blob })).toThrow(
    /base\.head: needs either/,
  )
})

it('says when there are too few rows for a part', () => {
  const few = { ...dataset, inputs: { ...dataset.inputs, shape: [5, 2], data: new Float32Array(10) } }
  expect(() => resolvePipeline(pipeline, { dataset: few, data })).toThrow(/5 rows are too few: the validation part/)
})

it('takes the precision from a recipe, by name or with settings, and refuses another beside it', () => {
  expect(resolvePipeline({ ...pipeline, recipe: 'int4-weights' }, { dataset, data })).toMatchObject({
    precision: 'int4',
    recipe: { scheme: 'int4-weights' },
  })
  const recipe = { scheme: 'int8-dynamic', weightBits: 8 } as const
  expect(resolvePipeline({ ...pipeline, recipe }, { dataset, data })).toMatchObject({ precision: 'int8', recipe })
  expect(resolvePipeline({ ...pipeline, precision: 'fp16' }, { dataset, data }).recipe).toBeUndefined()
  const other = { ...pipeline, precision: 'fp32', recipe } as const
  expect(() => resolvePipeline(other, { dataset, data })).toThrow(/recipe: makes another precision/)
  const unknown = { ...pipeline, recipe: { scheme: 'fp16', blockSize: 32 } as never }
  expect(() => resolvePipeline(unknown, { dataset, data })).toThrow(/recipe: .*blockSize/)
})

it('takes a teacher by its blob, and what is to be rounded while training', () => {
  const taught = {
    ...pipeline,
    distillation: { model: 'large.onnx', weight: 0.7 },
    quantizationAware: { epochs: 2, weightBits: 4 },
  }
  const spec = resolvePipeline(taught, { dataset, data, teacher: blob })
  expect(spec.distillation).toEqual({ ...blob, weight: 0.7 })
  expect(spec.quantizationAware).toEqual({ epochs: 2, weightBits: 4 })
  const bad = { ...taught, distillation: { model: 'x', weight: 2 }, quantizationAware: { epochs: 0 } }
  expect(() => resolvePipeline(bad, { dataset, data, teacher: blob })).toThrow(
    /quantizationAware\.epochs: .*distillation\.weight: /,
  )
})

it('has variants in ONNX alone, or in TensorFlow.js too, and never without ONNX', () => {
  expect(resolvePipeline(pipeline, { dataset, data })).not.toHaveProperty('formats')
  expect(resolvePipeline({ ...pipeline, formats: ['onnx'] }, { dataset, data })).not.toHaveProperty('formats')
  expect(resolvePipeline({ ...pipeline, formats: ['onnx', 'tfjs'] }, { dataset, data }).formats).toEqual([
    'onnx',
    'tfjs',
  ])
  const resolved = (formats: readonly string[]) => () =>
    resolvePipeline({ ...pipeline, formats: formats as never }, { dataset, data })
  expect(resolved(['tfjs'])).toThrow(/formats: has to have onnx/)
  expect(resolved(['onnx', 'tfjs', 'onnx'])).toThrow(/formats: names a format twice/)
  expect(resolved(['onnx', 'tflite'])).toThrow(/formats\.1/)
})
