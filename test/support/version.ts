import { createHash } from 'node:crypto'
import type { Client } from '@tideway/client'
import {
  type BlobRef,
  encodeTensors,
  type Manifest,
  type Tensor,
  type VersionRecord,
  writeManifest,
} from '@tideway/core'
import { floats, GraphBuilder, writeModel } from '@tideway/onnx'

/** A real ONNX model made without a trainer: `y = x · W + b`, W random from the seed, b the same for every output. */
export interface LineOptions {
  readonly seed: number
  /** Sizes of `x` and `y`; the file has about 4 · features · outputs bytes. Default 8 and 4. */
  readonly features?: number
  readonly outputs?: number
  /** What the known answers are off by; 0 is the truth. */
  readonly lie?: number
}

export interface TestVersion {
  readonly model: string
  readonly version: VersionRecord
  readonly manifest: Manifest
  readonly manifestDigest: string
  /** All that a device has to fetch: the manifest, the model file and its known answers. */
  readonly bytes: number
  /** Digests of the model file's chunks, in order. */
  readonly chunks: readonly string[]
  /** Chunks that a device has to fetch, the manifest among them. */
  readonly chunkCount: number
  /** One row. */
  readonly input: Float32Array
  /** What this version answers to `input`, up to rounding. */
  readonly answer: readonly number[]
}

const ROWS = 4

/** Uploads and registers a version over the cloud's HTTP API, as a trainer node would; its alias is `latest`. */
export async function registerVersion(client: Client, model: string, options: LineOptions): Promise<TestVersion> {
  const { seed, features = 8, outputs = 4, lie = 0 } = options
  const weights = uniform(seed, features * outputs)
  const bias = seed
  const x = tensor([ROWS, features], uniform(9_999, ROWS * features))
  const y = tensor([ROWS, outputs], multiply(x.data, weights, bias, ROWS, features, outputs))
  const onnx = await client.putBlob(lineModel(weights, bias, features, outputs))
  const expected = tensor(
    y.shape,
    y.data.map((value) => value + lie),
  )
  const known = await client.putBlob(encodeTensors({ inputs: { x }, outputs: { y: expected } }))
  const manifest: Manifest = {
    v: 1,
    model,
    signature: {
      inputs: [{ name: 'x', dtype: 'float32', shape: [null, features] }],
      outputs: [{ name: 'y', dtype: 'float32', shape: [null, outputs] }],
    },
    variants: [
      {
        id: 'onnx-fp32',
        format: 'onnx',
        precision: 'fp32',
        requires: [],
        files: [{ path: 'model.onnx', ...onnx }],
        knownAnswers: { ...known, rows: ROWS, tolerance: 1e-3 },
      },
    ],
    metrics: {},
    lineage: { dataDigest: onnx.sha256, configDigest: onnx.sha256, seed, code: 'test' },
  }
  const bytes = writeManifest(manifest)
  const [chunk] = await client.putChunks([bytes])
  const manifestDigest = chunk!.sha256
  const { version } = await client.registerVersion(model, { manifestDigest, aliases: ['latest'] })
  return {
    model,
    version,
    manifest,
    manifestDigest,
    bytes: bytes.byteLength + onnx.size + known.size,
    chunks: namesOf(onnx),
    chunkCount: 1 + new Set([...namesOf(onnx), ...namesOf(known)]).size,
    input: x.data.subarray(0, features),
    answer: Array.from(y.data.subarray(0, outputs)),
  }
}

function lineModel(weights: Float32Array, bias: number, features: number, outputs: number): Uint8Array {
  const graph = new GraphBuilder('line')
  const x = graph.input('x', 'float32', [null, features])
  const w = graph.initializer('w', tensor([features, outputs], weights))
  const sum = graph.op('MatMul', [x, w])
  graph.output('y', graph.op('Add', [sum, graph.constant(floats('float32', [bias]))]))
  return writeModel(graph.build())
}

/** In double precision, as the oracle. */
function multiply(
  x: Float32Array,
  w: Float32Array,
  bias: number,
  rows: number,
  features: number,
  outputs: number,
): Float32Array<ArrayBuffer> {
  const y = new Float32Array(rows * outputs)
  for (let row = 0; row < rows; row++)
    for (let out = 0; out < outputs; out++) {
      let sum = bias
      for (let i = 0; i < features; i++) sum += x[row * features + i]! * w[i * outputs + out]!
      y[row * outputs + out] = sum
    }
  return y
}

type Floats = Extract<Tensor, { dtype: 'float32' }>

function tensor(shape: readonly number[], data: Float32Array): Floats {
  return { dtype: 'float32', shape, data: data as Floats['data'] }
}

const namesOf = (blob: BlobRef) => blob.chunks.map(({ sha256 }) => sha256)

/** Numbers of [-0.05, 0.05) that no compression makes smaller. */
function uniform(seed: number, count: number): Float32Array<ArrayBuffer> {
  const bytes = createHash('shake256', { outputLength: 4 * count })
    .update(String(seed))
    .digest()
  return Float32Array.from({ length: count }, (_, i) => (bytes.readUInt32LE(4 * i) / 2 ** 32 - 0.5) / 10)
}
