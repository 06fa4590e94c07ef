import { decodeTensors, type Manifest, type PipelineConfig, type Session, type Tensor } from '@tideway/core'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createTfjsRuntime } from '@tideway/runtime-tfjs'
import { createTfjsTrainer } from '@tideway/trainer-tfjs'
import { describe, expect, it } from 'vitest'
import { MapCloud, startEdge, temporary, untilActive } from '../../../edge/src/edge.fixture.js'
import { ranPipeline } from './pipeline.fixture.js'
import { loadTfjs } from './tfjs.js'

const ROWS = 240
const SIDE = 6
/** Images with a bright half, the left or the upper one. */
const halves: PipelineConfig['data'] = () => {
  const classes = Int32Array.from({ length: ROWS }, (_, row) => (row * 7) % 2)
  const data = Float32Array.from({ length: ROWS * SIDE * SIDE }, (_, at) => {
    const [row, place] = [Math.floor(at / (SIDE * SIDE)), at % (SIDE * SIDE)]
    const [down, across] = [Math.floor(place / SIDE), place % SIDE]
    const isBright = (classes[row] === 0 ? across : down) < SIDE / 2
    return (isBright ? 0.8 : 0.2) + 0.1 * Math.sin(at * at * 0.3)
  })
  return {
    inputs: { dtype: 'float32', shape: [ROWS, SIDE, SIDE, 1], data },
    targets: { dtype: 'int32', shape: [ROWS], data: classes },
    classes: ['left', 'upper'],
  }
}

const pipeline: PipelineConfig = {
  model: 'halves',
  data: halves,
  network: {
    input: { name: 'image', shape: [SIDE, SIDE, 1] },
    output: { name: 'y' },
    layers: [
      { type: 'conv2d', filters: 4, kernelSize: 3, padding: 'same' },
      { type: 'batchNormalization' },
      { type: 'activation', activation: 'relu' },
      { type: 'maxPooling2d' },
      { type: 'flatten' },
      { type: 'dense', units: 2, activation: 'softmax' },
    ],
  },
  optimizer: { type: 'adam', learningRate: 0.02 },
  batchSize: 16,
  epochs: 6,
  formats: ['onnx', 'tfjs'],
  gates: { minAccuracy: 0.95, maxAccuracyLoss: 0.05 },
}

/** Runs a variant's known answers as a device does; the largest difference of any value. */
async function offBy(session: Session, { outputs, inputs }: Record<string, Record<string, Tensor>>): Promise<number> {
  const given = await session.run(inputs!)
  const pairs = Object.entries(outputs!).flatMap(([name, { data }]) =>
    Array.from(data as Float32Array, (value, at) => Math.abs(value - (given[name]!.data[at] as number))),
  )
  return Math.max(...pairs)
}

const tfjsOf = ({ variants }: Manifest) => variants.find(({ format }) => format === 'tfjs')!

describe('a pipeline with the format tfjs', () => {
  it('makes a version whose last variant is a Graph model that answers as its known answers say', async () => {
    const { result, manifest, blobs } = await ranPipeline(pipeline)
    expect(manifest.variants.map(({ id, format, precision }) => [id, format, precision])).toEqual([
      ['onnx-int8', 'onnx', 'int8'],
      ['onnx-fp32', 'onnx', 'fp32'],
      ['tfjs-fp32', 'tfjs', 'fp32'],
    ])
    const { files, knownAnswers } = tfjsOf(manifest)
    expect(files).toMatchObject([{ path: 'model.fp32.json', sha256: result.variantDigests['tfjs-fp32'] }])
    expect(result.bytes['tfjs-fp32']).toBe(files[0]!.size)
    // One file and digest of each; those by precision are ONNX's.
    expect(new Set(Object.values(result.variantDigests)).size).toBe(3)
    expect(result.variantDigests['fp32']).toBe(manifest.variants[1]!.files[0]!.sha256)
    // Another engine, not another model: sums in another order.
    expect(knownAnswers.toleranceCause?.kind).toBe('rounding')
    expect(knownAnswers.toleranceCause?.engines['onnx-node']).toBeLessThan(1e-5)
    expect(knownAnswers.top1Margin).toBeGreaterThan(0)

    const session = await createTfjsRuntime({ providers: ['cpu'] }).load(blobs.get(files[0]!.sha256)!)
    expect(session.signature).toEqual(manifest.signature)
    const answers = decodeTensors(blobs.get(knownAnswers.sha256)!) as Record<string, Record<string, Tensor>>
    expect(answers['outputs']!['y']!.shape).toEqual([8, 2])
    expect(await offBy(session, answers)).toBeLessThan(knownAnswers.tolerance)
    await session.dispose()
  })

  it('makes a version that a device with TensorFlow.js alone installs, and answers as the float model does', async () => {
    const { result, manifest, blobs, file } = await ranPipeline({ ...pipeline, epochs: 2, gates: {} })
    const cloud = new MapCloud()
    for (const [sha256, bytes] of blobs) cloud.chunks.set(sha256, bytes)
    const edge = await startEdge(cloud, await temporary(), { runtime: createTfjsRuntime({ providers: ['wasm'] }) })
    const { manifestDigest } = result.version
    cloud.deploy(1, { halves: { version: 1, manifestDigest } })
    await untilActive(edge, manifestDigest, 'halves')
    expect(edge.status().models['halves']).toMatchObject({ status: 'active', variant: 'tfjs-fp32' })
    // Nothing of the other variants was sent.
    expect(cloud.fetched).not.toContain(manifest.variants[0]!.files[0]!.sha256)

    const image: Tensor = {
      dtype: 'float32',
      shape: [1, SIDE, SIDE, 1],
      data: new Float32Array(36).map((_, at) => at / 36),
    }
    const { y } = await edge.model('halves').infer({ image })
    const session = await createOnnxNodeRuntime().load(file('fp32'))
    const { y: expected } = await session.run({ image })
    for (const [at, value] of (expected!.data as Float32Array).entries()) expect(y!.data[at]).toBeCloseTo(value, 5)
    await session.dispose()
  })

  it('takes a trainer on TensorFlow.js all the way', async () => {
    const trainer = createTfjsTrainer({ backends: ['wasm'] })
    const { result, manifest } = await ranPipeline(pipeline, undefined, { trainer })
    expect(result.notes).toContainEqual(expect.stringContaining("trained on TensorFlow.js's wasm"))
    expect(manifest.variants.map(({ id }) => id)).toEqual(['onnx-int8', 'onnx-fp32', 'tfjs-fp32'])
    for (const precision of ['int8', 'fp32']) expect(result.evaluation[precision]?.accuracy).toBeGreaterThan(0.95)
    expect(tfjsOf(manifest).knownAnswers.toleranceCause?.engines['onnx-node']).toBeLessThan(1e-5)
  })

  it('makes one of a base model, too, that is trained further', async () => {
    const { formats, network: _, ...rest } = pipeline
    const first = await ranPipeline({ ...pipeline, formats: ['onnx'], epochs: 1, precision: 'fp32', gates: {} })
    const base = { model: first.file('fp32'), head: { classes: 2 } }
    const { manifest, result } = await ranPipeline({ ...rest, base, formats })
    expect(manifest.variants.map(({ id }) => id)).toEqual(['onnx-int8', 'onnx-fp32', 'tfjs-fp32'])
    expect(result.evaluation['fp32']?.accuracy).toBeGreaterThan(0.95)
    expect(tfjsOf(manifest).knownAnswers.toleranceCause?.engines['onnx-node']).toBeLessThan(1e-5)
  })

  it('makes no such variant where it is not asked for', async () => {
    const { formats: _, ...plain } = pipeline
    const { manifest } = await ranPipeline({ ...plain, epochs: 1, precision: 'fp32', gates: {} })
    expect(manifest.variants.map(({ id }) => id)).toEqual(['onnx-fp32'])
  })

  it('is refused before it trains: layers without a form there, or no runtime to try it', async () => {
    const stages: string[] = []
    const onStage = (stage: string) => void stages.push(stage)
    // More steps than are written one by one.
    const long: PipelineConfig = {
      ...pipeline,
      data: async () => {
        const { inputs, targets } = await halves({})
        const data = new Float32Array(ROWS * 600)
        return { inputs: { ...inputs, shape: [ROWS, 600, 1], data } as typeof inputs, targets }
      },
      network: {
        input: { name: 'x', shape: [600, 1] },
        output: { name: 'y' },
        layers: [
          { type: 'lstm', name: 'memory', units: 2 },
          { type: 'dense', units: 2, activation: 'softmax' },
        ],
      },
    }
    await expect(ranPipeline(long, undefined, { onStage })).rejects.toMatchObject({
      code: 'TFJS_EXPORT_UNSUPPORTED',
      message: expect.stringMatching(/"memory\/.*600 steps/),
    })
    const missing = () =>
      loadTfjs(() => {
        const message = "Cannot find package '@tideway/runtime-tfjs' imported from run.js"
        return Promise.reject(Object.assign(new Error(message), { code: 'ERR_MODULE_NOT_FOUND' }))
      })
    await expect(ranPipeline(pipeline, undefined, { onStage, loadTfjs: missing })).rejects.toMatchObject({
      code: 'TFJS_RUNTIME_MISSING',
      message: expect.stringContaining('npm install @tideway/runtime-tfjs'),
    })
    expect(stages).toEqual(['loading', 'loading'])
  })

  it('is not registered where the file computes something else than the model', async () => {
    const tfjs = createTfjsRuntime({ providers: ['cpu'] })
    const wrong = {
      ...tfjs,
      async load(bytes: Uint8Array) {
        const session = await tfjs.load(bytes)
        const run = async (inputs: Readonly<Record<string, Tensor>>) => {
          const { y } = await session.run(inputs)
          return { y: { ...y!, data: (y!.data as Float32Array).map((value) => 1 - value) } as Tensor }
        }
        return { ...session, run }
      },
    }
    const run = ranPipeline({ ...pipeline, epochs: 3, gates: {} }, undefined, { loadTfjs: async () => wrong })
    await expect(run).rejects.toMatchObject({ code: 'TFJS_ANSWERS_DIFFER' })
  })
})
