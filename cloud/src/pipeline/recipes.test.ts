import {
  type BlobRef,
  definePipeline,
  encodeTensors,
  type Manifest,
  readManifest,
  resolvePipeline,
  sha256Hex,
  type Variant,
  type VersionRecord,
} from '@tideway/core'
import { createQuantizer } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createOnnxTrainer } from '@tideway/trainer-onnx'
import { describe, expect, it } from 'vitest'
import type { Artifacts } from './artifacts.js'
import { otherEngines } from './engines.js'
import { runPipeline } from './run.js'

const ROWS = 400
const WIDTH = 16
/** Which of four groups of columns is brightest. */
const dataset = () => {
  const inputs = Float32Array.from({ length: ROWS * WIDTH }, (_, i) => Math.sin(i * i * 0.37) + 1)
  const targets = Int32Array.from({ length: ROWS }, (_, row) => {
    const sums = [0, 1, 2, 3].map((group) =>
      inputs.subarray(row * WIDTH + group * 4, row * WIDTH + group * 4 + 4).reduce((a, b) => a + b),
    )
    return sums.indexOf(Math.max(...sums))
  })
  return {
    inputs: { dtype: 'float32' as const, shape: [ROWS, WIDTH], data: inputs },
    targets: { dtype: 'int32' as const, shape: [ROWS], data: targets },
  }
}

const pipeline = definePipeline({
  model: 'groups',
  data: dataset,
  network: {
    input: { name: 'x', shape: [WIDTH] },
    layers: [
      { type: 'dense', units: 32, activation: 'relu' },
      { type: 'dense', units: 4, activation: 'softmax' },
    ],
    output: { name: 'y' },
  },
  optimizer: { type: 'adam', learningRate: 0.01 },
  epochs: 20,
  gates: { minAccuracy: 0.7, maxAccuracyLoss: 0.1 },
})

/** Artifacts in memory. */
function memory() {
  const blobs = new Map<string, Uint8Array>()
  const manifests: Manifest[] = []
  const putBlob = async (bytes: Uint8Array): Promise<BlobRef> => {
    const sha256 = sha256Hex(bytes)
    blobs.set(sha256, bytes)
    return { sha256, size: bytes.byteLength, chunks: [{ sha256, size: bytes.byteLength }] }
  }
  const artifacts: Artifacts = {
    blob: async (sha256) => blobs.get(sha256)!,
    putBlob,
    putFile: putBlob,
    async register({ manifest }) {
      manifests.push(readManifest(manifest))
      return { version: {} as VersionRecord, created: true }
    },
  }
  return { artifacts, manifests, putBlob }
}

async function variantsOf(change: Partial<typeof pipeline>): Promise<readonly Variant[]> {
  const { artifacts, manifests, putBlob } = memory()
  const data = dataset()
  const { sha256, size } = await putBlob(encodeTensors({ data: { inputs: data.inputs, targets: data.targets } }))
  const spec = resolvePipeline({ ...pipeline, ...change }, { dataset: data, data: { sha256, size } })
  const nothing = () => undefined
  const { notes } = await runPipeline(
    { id: 'job', spec },
    {
      trainer: createOnnxTrainer({ threads: 1 }),
      quantizer: createQuantizer(),
      runtime: createOnnxNodeRuntime({ intraOpThreads: 1 }),
      otherEngines: await otherEngines(),
      artifacts,
      onStage: nothing,
      onProgress: nothing,
      onCheckpoint: async () => undefined,
      signal: new AbortController().signal,
    },
  )
  expect(notes).toEqual([])
  return manifests[0]!.variants
}

describe('a pipeline with a recipe', () => {
  it.each([
    [{ recipe: { scheme: 'int4-weights', minElements: 1 } }, 'int4', ['operator:com.microsoft.MatMulNBits']],
    [{ recipe: { scheme: 'int8-dynamic', minElements: 1, weightBits: 8 } }, 'int8', []],
    [{ precision: 'fp16' }, 'fp16', []],
  ] as const)(
    '%j registers such a variant before the float one, with what it needs and how close answers must be',
    async (change, precision, requires) => {
      const [small, float, ...others] = await variantsOf(change as Partial<typeof pipeline>)
      expect(others).toEqual([])
      const scheme = 'recipe' in change ? change.recipe.scheme : 'fp16'
      expect(small).toMatchObject({ id: `onnx-${precision}`, precision, scheme, requires })
      expect(float).toMatchObject({ id: 'onnx-fp32', precision: 'fp32', requires: [] })
      expect(float?.scheme).toBeUndefined()
      for (const { knownAnswers } of [small!, float!]) {
        const { tolerance, toleranceCause } = knownAnswers
        expect(Object.keys(toleranceCause!.engines)).toEqual(['onnx-node', 'onnx-wasm'])
        expect(toleranceCause!.engines['onnx-wasm']).toBeLessThanOrEqual(tolerance)
      }
      expect(float?.knownAnswers.toleranceCause?.kind).toBe('rounding')
    },
  )

  it('registers the float variant alone where it asks for that', async () => {
    expect((await variantsOf({ precision: 'fp32' })).map(({ id }) => id)).toEqual(['onnx-fp32'])
  })
})
