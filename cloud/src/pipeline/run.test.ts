import {
  type ColumnsConfig,
  decodeTensors,
  type PipelineConfig,
  type Profile,
  type Runtime,
  type Session,
} from '@tideway/core'
import { graphOf, readModel } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { describe, expect, it } from 'vitest'
import type { QuantizationReport } from '../quantize/report.js'
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

const PUMPS = 600
const columns: ColumnsConfig = {
  columns: {
    flow: { type: 'number', unit: 'l/min', impute: 'mean', scale: 'standard' },
    kind: { type: 'category', values: ['piston', 'screw', 'vane'], impute: 'mostFrequent' },
    current: { type: 'number', impute: 'median', scale: 'standard' },
    age: { type: 'number', scale: 'minMax' },
  },
}

/** Pumps that fail when old and of a kind, by their current; every tenth reading of three columns is missing. */
const pumps: PipelineConfig['data'] = () => {
  const rows = Array.from({ length: PUMPS }, (_, row) => {
    const [flow, kind, current, age] = [100 + 20 * Math.sin(row * 3.1), row % 3, Math.sin(row * 1.7), (row * 37) % 100]
    const isMissing = (place: number) => (row * 7 + place * 3) % 10 === 0
    const seen = [flow, kind, current].map((value, place) => (isMissing(place) ? Number.NaN : value))
    return { seen: [...seen, age], fails: current + (kind === 1 ? 0.5 : -0.5) + (age - 50) / 200 > 0 ? 1 : 0 }
  })
  return {
    inputs: { dtype: 'float32', shape: [PUMPS, 4], data: Float32Array.from(rows.flatMap(({ seen }) => seen)) },
    targets: { dtype: 'int32', shape: [PUMPS], data: Int32Array.from(rows, ({ fails }) => fails) },
    features: ['flow', 'kind', 'current', 'age'],
    classes: ['fine', 'fails'],
  }
}

const pumpPipeline: PipelineConfig = {
  model: 'pumps',
  data: pumps,
  network: {
    input: { name: 'readings', shape: [4] },
    output,
    layers: [
      { type: 'columns', columns },
      { type: 'dense', units: 16, activation: 'relu' },
      { type: 'dense', units: 2, activation: 'softmax' },
    ],
  },
  optimizer: { type: 'adam', learningRate: 0.02 },
  batchSize: 32,
  epochs: 30,
  gates: { minAccuracy: 0.85, maxAccuracyLoss: 0.02 },
}

describe('a pipeline of columns with missing values', () => {
  it('goes all the way: trained, int8 behind the columns, through the gates, with a baseline and known answers', async () => {
    const { result, manifest, blobs, file } = await ranPipeline(pumpPipeline)
    expect(result.created).toBe(true)
    expect(manifest.variants.map(({ id }) => id)).toEqual(['onnx-int8', 'onnx-fp32'])
    const int8 = graphOf(readModel(file('int8')))
    expect(int8.node.filter(({ opType }) => opType === 'QuantizeLinear').length).toBeGreaterThan(0)
    const readers = int8.node.filter(({ input: names }) => names.includes('readings')).map(({ opType }) => opType)
    expect(new Set(readers)).toEqual(new Set(['Gather']))

    // What quantizing cost, for programs and as a page.
    const report = JSON.parse(Buffer.from(blobs.get(result.report!.json)!).toString()) as QuantizationReport
    expect(report).toMatchObject({
      model: 'pumps',
      judged: { measure: 'classes', float: result.evaluation['fp32']!.accuracy },
    })
    expect(report.judged!.small).toBeCloseTo(result.evaluation['int8']!.accuracy!, 12)
    expect(report.files.small.sha256).toBe(result.variantDigests['int8'])
    expect(report.classes?.map(({ name }) => name)).toEqual(['fine', 'fails'])
    expect(report.layers.filter(({ outputSnrDb }) => (outputSnrDb ?? 0) > 10)).toHaveLength(2)
    expect(Buffer.from(blobs.get(result.report!.html)!).toString()).toMatch(/^<!doctype html>[\s\S]*pumps/)

    // What devices compare with: how often each column is missing, and its mean of the values that are there.
    const baseline: Profile = JSON.parse(Buffer.from(blobs.get(manifest.baseline!.sha256)!).toString())
    const missing = (name: string) => baseline.missing[`feature.${name}`] ?? 0
    for (const name of ['flow', 'kind', 'current']) expect(missing(name) / baseline.rows).toBeCloseTo(0.1, 1)
    expect(missing('age')).toBe(0)
    const flow = manifest.profile?.statistics.find(({ name }) => name === 'feature.flow')
    expect(flow).toMatchObject({ center: expect.closeTo(100, -1), floor: expect.any(Number) })

    // Missing values travel in the known answers, and the answers are numbers.
    const answers = decodeTensors(blobs.get(manifest.variants[0]!.knownAnswers!.sha256)!)
    expect(answers['inputs']?.['readings']?.data.some(Number.isNaN)).toBe(true)
    expect(answers['outputs']?.['y']?.data.every(Number.isFinite)).toBe(true)
  })

  it('refuses infinity, and NaN in a column that lets nothing be missing, before it trains', async () => {
    const spoiled = (place: number, value: number): PipelineConfig => ({
      ...pumpPipeline,
      data: async () => {
        const dataset = await pumps({})
        const data = (dataset.inputs.data as Float32Array).slice()
        for (let row = 0; row < PUMPS; row += 5) data[row * 4 + place] = value
        return { ...dataset, inputs: { ...dataset.inputs, data } as typeof dataset.inputs }
      },
    })
    await expect(ranPipeline(spoiled(0, Number.POSITIVE_INFINITY))).rejects.toMatchObject({
      code: 'TRAIN_DATA_INVALID',
    })
    await expect(ranPipeline(spoiled(3, Number.NaN))).rejects.toMatchObject({ code: 'TRAIN_DATA_INVALID' })
  })
})

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

  it.each([1, 2])('leaves no session open where file %d of two cannot be loaded', async (which) => {
    const runtime = createOnnxNodeRuntime()
    const open = new Set<Session>()
    let [stage, loads] = ['', 0]
    const watched: Runtime = {
      ...runtime,
      async load(bytes, options) {
        if (stage === 'evaluating') loads += 1
        if (loads === which) throw new Error('out of memory')
        const session = await runtime.load(bytes, options)
        const dispose = () => {
          open.delete(own)
          return session.dispose()
        }
        const own: Session = { signature: session.signature, run: (...feeds) => session.run(...feeds), dispose }
        open.add(own)
        return own
      },
    }
    const spoiled = { ...pumpPipeline, epochs: 1 }
    const onStage = (next: string) => void (stage = next)
    await expect(ranPipeline(spoiled, undefined, { runtime: watched, onStage })).rejects.toThrow('out of memory')
    // What a load that goes on gives comes later.
    await new Promise(setImmediate)
    await expect.poll(() => open.size).toBe(0)
  })

  it('that passed its gates is published without a report where the report fails, and says so', async () => {
    const { result, manifest } = await ranPipeline({ ...pumpPipeline, epochs: 10, gates: {} }, (bytes) =>
      Buffer.from(bytes.subarray(0, 9)).equals(Buffer.from('<!doctype')),
    )
    expect(result.created).toBe(true)
    expect(manifest.variants).toHaveLength(2)
    expect(result.report).toBeUndefined()
    expect(result.notes).toContain('there is no report of what quantizing cost: the disk is full')
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
