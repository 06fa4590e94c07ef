import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { type NetworkConfig, planNetwork } from '@tideway/core'
import { graphOf, readModel, toTensor } from '@tideway/onnx'
import { packTfjsModel } from '@tideway/runtime-tfjs'
import { chooseBackend, onBackend } from '@tideway/runtime-tfjs/backends'

/** A layer's weights by the last part of their name in the ONNX file, in TensorFlow.js's order and layout. */
const WEIGHTS: Readonly<Record<string, readonly (readonly [name: string, to: (weight: tf.Tensor) => tf.Tensor])[]>> = {
  dense: [
    ['kernel', same],
    ['bias', same],
  ],
  // From [out, in, height, width].
  conv2d: [
    ['kernel', (weight) => tf.transpose(weight, [2, 3, 1, 0])],
    ['bias', same],
  ],
  depthwiseConv2d: [
    ['depthwise_kernel', (weight) => tf.transpose(weight, [2, 3, 0, 1])],
    ['bias', same],
  ],
  batchNormalization: [
    ['gamma', same],
    ['beta', same],
    ['moving_mean', same],
    ['moving_variance', same],
  ],
  lstm: [
    ['kernel', (weight) => tf.transpose(gates(weight))],
    ['recurrent_kernel', (weight) => tf.transpose(gates(weight))],
    ['bias', gates],
  ],
}

function same(weight: tf.Tensor): tf.Tensor {
  return weight
}

/** ONNX has input, output, forget and cell gate one after the other; TensorFlow.js input, forget, cell, output. */
function gates(weight: tf.Tensor): tf.Tensor {
  const [input, output, forget, cell] = tf.split(tf.squeeze(weight, [0]), 4) as [
    tf.Tensor,
    tf.Tensor,
    tf.Tensor,
    tf.Tensor,
  ]
  return tf.concat([input, forget, cell, output])
}

/**
 * The Layers model of a network with the weights of its ONNX file: the same layers by TensorFlow.js's own definitions,
 * under the same names. Throws for layers that TensorFlow.js does not have.
 */
export async function tfjsModel(network: NetworkConfig, onnx: Uint8Array): Promise<Uint8Array> {
  const weights = new Map(graphOf(readModel(onnx)).initializer.map((tensor) => [tensor.name, toTensor(tensor)]))
  const { engine } = await chooseBackend(['cpu'])
  const model = await onBackend(engine, () => {
    const { made, planned } = layersOf(network)
    tf.tidy(() => {
      for (const { name, type } of planned) {
        const values = (WEIGHTS[type] ?? []).flatMap(([part, to]) => {
          const weight = weights.get(`${name}/${part}`)
          return weight === undefined ? [] : [to(tf.tensor(weight.data as Float32Array, [...weight.shape]))]
        })
        if (values.length > 0) made.getLayer(name).setWeights(values)
      }
    })
    return made
  })
  let artifacts: tf.io.ModelArtifacts = {}
  await model.save(
    tf.io.withSaveHandler((given) => {
      artifacts = given
      return Promise.resolve({ modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(given) })
    }),
  )
  model.dispose()
  const { modelTopology, format, weightSpecs, weightData } = artifacts
  const shard = 'group1-shard1of1.bin'
  const modelJson = { modelTopology, format, weightsManifest: [{ paths: [shard], weights: weightSpecs }] }
  return packTfjsModel(modelJson, { [shard]: new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData)) })
}

type Factories = Readonly<Record<string, ((args: object) => tfl.layers.Layer) | undefined>>

function layersOf(network: NetworkConfig) {
  const { input, layers } = planNetwork(network)
  const rows = tfl.input({ shape: [...input.shape], name: input.name })
  const values = new Map<string, tfl.SymbolicTensor>([['input', rows]])
  let last = rows
  for (const { layer } of layers) {
    const { type, name, inputs, ...args } = layer
    const make = (tfl.layers as unknown as Factories)[type]
    if (make === undefined) throw new Error(`TensorFlow.js has no layer ${type}.`)
    // Weights are set, not drawn.
    const zeros = Object.fromEntries(
      Object.entries(args).flatMap(([key, value]) => {
        if (key.endsWith('Regularizer')) return []
        return [[key, key.endsWith('Initializer') ? 'zeros' : value] as const]
      }),
    )
    const given = inputs.map((from) => values.get(from) as tfl.SymbolicTensor)
    const [only] = given
    last = make({ name, ...zeros }).apply(given.length === 1 && only !== undefined ? only : given) as tfl.SymbolicTensor
    values.set(name, last)
  }
  return { made: tfl.model({ inputs: rows, outputs: last }), planned: layers.map(({ layer }) => layer) }
}
