import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import type { Signature, Tensor } from '@tideway/core'
import { startBackend } from './backends/choose.js'
import { cpu } from './backends/cpu.js'
import { onBackend } from './backends/exclusive.js'
import { packTfjsModel } from './format/pack.js'

export const floats = (shape: readonly number[], data: Iterable<number>): Tensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(data),
})

export const wave = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, at) => Math.sin(seed + at * at * 0.7))

/** What TensorFlow.js itself writes of a Layers model: its model.json, and its weights in one shard. */
export async function saved(
  model: tfl.LayersModel,
): Promise<{ modelJson: Record<string, unknown>; weights: Uint8Array }> {
  let artifacts: tf.io.ModelArtifacts = {}
  await model.save(
    tf.io.withSaveHandler(async (given) => {
      artifacts = given
      return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(given) }
    }),
  )
  const weights = new Uint8Array(tf.io.CompositeArrayBuffer.join(artifacts.weightData))
  const paths = ['group1-shard1of1.bin']
  const { modelTopology, format, weightSpecs } = artifacts
  return { modelJson: { modelTopology, format, weightsManifest: [{ paths, weights: weightSpecs }] }, weights }
}

/** Makes a Layers model on the cpu backend with weights that are waves, and says what its `predict` says. */
export async function layersModel(
  make: () => tfl.LayersModel,
  inputs: readonly Tensor[],
): Promise<{ bytes: Uint8Array; outputs: readonly Float32Array[] }> {
  await startBackend(cpu)
  let model: tfl.LayersModel | undefined
  const outputs = await onBackend('cpu', () =>
    tf.tidy(() => {
      model = make()
      model.setWeights(
        model.getWeights().map(({ shape, size }, at) =>
          tf.tensor(
            wave(size, at).map((value) => Math.abs(value) / 4 + value / 8),
            shape,
          ),
        ),
      )
      const fed = inputs.map(({ data, shape, dtype }) =>
        tf.tensor(data as Float32Array, [...shape], dtype as tf.DataType),
      )
      const answers = model.predict(fed)
      return (Array.isArray(answers) ? answers : [answers]).map((answer) => Float32Array.from(answer.dataSync()))
    }),
  )
  const { modelJson, weights } = await saved(model!)
  model!.dispose()
  return { bytes: packTfjsModel(modelJson, { 'group1-shard1of1.bin': weights }), outputs }
}

const attr = {
  float: { T: { type: 'DT_FLOAT' } },
  placeholder: (type: string, ...sizes: number[]) => ({
    dtype: { type },
    shape: { shape: { dim: sizes.map((size) => ({ size: String(size) })) } },
  }),
}
const spec = (name: string, dtype: string, ...sizes: number[]) => ({
  name,
  dtype,
  tensorShape: { dim: sizes.map((size) => ({ size: String(size) })) },
})

const bytesOf = (...values: Float32Array[]) => new Uint8Array(Float32Array.from(values.flatMap((a) => [...a])).buffer)

/**
 * A graph by hand: sum = relu(x · w + b), probabilities = softmax of it. Its answers are whole numbers where softmax is left
 * out: w = [[1, 2], [3, 4], [5, 6]], b = [-20, 1].
 */
export const graph = {
  modelJson: {
    format: 'graph-model',
    modelTopology: {
      node: [
        { name: 'x', op: 'Placeholder', attr: attr.placeholder('DT_FLOAT', -1, 3) },
        { name: 'w', op: 'Const', attr: { dtype: { type: 'DT_FLOAT' } } },
        { name: 'b', op: 'Const', attr: { dtype: { type: 'DT_FLOAT' } } },
        { name: 'product', op: 'MatMul', input: ['x', 'w'], attr: attr.float },
        { name: 'shifted', op: 'BiasAdd', input: ['product', 'b'], attr: attr.float },
        { name: 'relu', op: 'Relu', input: ['shifted'], attr: attr.float },
        { name: 'softmax', op: 'Softmax', input: ['relu'], attr: attr.float },
      ],
      versions: { producer: 175 },
    },
    weightsManifest: [
      {
        paths: ['w.bin'],
        weights: [
          { name: 'w', shape: [3, 2], dtype: 'float32' },
          { name: 'b', shape: [2], dtype: 'float32' },
        ],
      },
    ],
    signature: {
      inputs: { pixels: spec('x:0', 'DT_FLOAT', -1, 3) },
      outputs: {
        probabilities: spec('softmax:0', 'DT_FLOAT', -1, 2),
        sum: spec('relu:0', 'DT_FLOAT', -1, 2),
      },
    },
  },
  shards: { 'w.bin': bytesOf(Float32Array.of(1, 2, 3, 4, 5, 6), Float32Array.of(-20, 1)) },
} as const

const graphSignature: Signature = {
  inputs: [{ name: 'pixels', dtype: 'float32', shape: [null, 3] }],
  outputs: [
    { name: 'probabilities', dtype: 'float32', shape: [null, 2] },
    { name: 'sum', dtype: 'float32', shape: [null, 2] },
  ],
}

/** The graph as a subject of the runtime contract, its answers by arithmetic. */
export function graphSubject() {
  const caseOf = (rows: readonly number[]) => {
    const sums = Array.from({ length: rows.length / 3 }, (_, row) => {
      const [a = 0, b = 0, c = 0] = rows.slice(row * 3, row * 3 + 3)
      return [Math.max(0, a + 3 * b + 5 * c - 20), Math.max(0, 2 * a + 4 * b + 6 * c + 1)] as const
    })
    const shape = [sums.length, 2]
    const probabilities = sums.flatMap(([p, q]) => [1 / (1 + Math.exp(q - p)), 1 / (1 + Math.exp(p - q))])
    return {
      inputs: { pixels: floats([sums.length, 3], rows) },
      outputs: { probabilities: floats(shape, probabilities), sum: floats(shape, sums.flat()) },
    }
  }
  return {
    model: packTfjsModel(graph.modelJson, graph.shards),
    signature: graphSignature,
    cases: [caseOf([1, 2, 3]), caseOf([4, 5, 6, -1, 0, 2, 0, 0, 0, 0.5, 7, -1, 3, 3, 3])],
    // One exponential in single precision.
    tolerance: 1e-6,
  }
}

/** Two inputs, one of whole numbers, and two outputs: a lookup, a dense layer and their sum, by arithmetic. */
export async function layersSubject() {
  const make = () => {
    const id = tfl.input({ shape: [], dtype: 'int32', name: 'id' })
    const x = tfl.input({ shape: [2], name: 'x' })
    const looked = tfl.layers.embedding({ inputDim: 3, outputDim: 2, name: 'looked' }).apply(id) as tfl.SymbolicTensor
    const dense = tfl.layers.dense({ units: 2, name: 'dense' }).apply(x) as tfl.SymbolicTensor
    const sum = tfl.layers.add({ name: 'sum' }).apply([looked, dense]) as tfl.SymbolicTensor
    return tfl.model({ inputs: [id, x], outputs: [sum, dense] })
  }
  await startBackend(cpu)
  let model: tfl.LayersModel | undefined
  await onBackend('cpu', () =>
    tf.tidy(() => {
      model = make()
      const [table, kernel, bias] = [
        tf.tensor2d([
          [1, 2],
          [10, 20],
          [100, 200],
        ]),
        tf.tensor2d([
          [1, 2],
          [3, 4],
        ]),
        tf.tensor1d([0.5, -0.5]),
      ]
      model.getLayer('looked').setWeights([table])
      model.getLayer('dense').setWeights([kernel, bias])
    }),
  )
  const { modelJson, weights } = await saved(model!)
  model!.dispose()
  const caseOf = (ids: number[], rows: number[]) => {
    const table = [
      [1, 2],
      [10, 20],
      [100, 200],
    ]
    const dense = ids.flatMap((_, row) => {
      const [a = 0, b = 0] = rows.slice(row * 2, row * 2 + 2)
      return [a + 3 * b + 0.5, 2 * a + 4 * b - 0.5]
    })
    const sum = dense.map((value, at) => value + (table[ids[Math.floor(at / 2)]!]![at % 2] ?? Number.NaN))
    const shape = [ids.length, 2]
    return {
      inputs: {
        id: { dtype: 'int32', shape: [ids.length], data: Int32Array.from(ids) } satisfies Tensor,
        x: floats(shape, rows),
      },
      outputs: { sum: floats(shape, sum), dense: floats(shape, dense) },
    }
  }
  const signature: Signature = {
    inputs: [
      { name: 'id', dtype: 'int32', shape: [null] },
      { name: 'x', dtype: 'float32', shape: [null, 2] },
    ],
    outputs: [
      { name: 'sum', dtype: 'float32', shape: [null, 2] },
      { name: 'dense', dtype: 'float32', shape: [null, 2] },
    ],
  }
  return {
    model: packTfjsModel(modelJson, { 'group1-shard1of1.bin': weights }),
    signature,
    cases: [caseOf([1], [1, 2]), caseOf([0, 2, 1], [4, 5, 6, -1, 0.25, 2])],
  }
}
