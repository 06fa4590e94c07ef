import '@tensorflow/tfjs-backend-cpu'
// tfjs-layers calls operations as methods of tensors.
import '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js'
import * as tf from '@tensorflow/tfjs-core'
import type { LayersModel } from '@tensorflow/tfjs-layers'
import { fromKeras } from '../keras/index.js'
import { count, numbers } from './run.fixture.js'

/** A model of TensorFlow.js as its files say it, read as Keras's JSON with shards. */
export async function imported(model: LayersModel) {
  let files: { json: unknown; bytes: Uint8Array } | undefined
  await model.save({
    save: (artifacts) => {
      const { modelTopology, weightSpecs, weightData } = artifacts
      const bytes = new Uint8Array(tf.io.concatenateArrayBuffers([weightData as ArrayBuffer].flat()))
      files = { json: { modelTopology, weightsManifest: [{ paths: ['w.bin'], weights: weightSpecs }] }, bytes }
      return Promise.resolve({ modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' as const } })
    },
  })
  if (files === undefined) throw new Error('nothing was saved')
  return fromKeras(JSON.parse(JSON.stringify(files.json)), new Map([['w.bin', files.bytes]]))
}

/** Fills a model with numbers of which none is a default, so that no weight can be mistaken for another. */
export function fillWeights(model: LayersModel, seed = 1): void {
  model.setWeights(
    model.weights.map((weight, place) => {
      const shape = weight.shape.map((size) => size ?? 1)
      const values = numbers(count(shape), seed + place, 0.5)
      return tf.tensor(weight.originalName.includes('variance') ? values.map((value) => 0.75 + value) : values, shape)
    }),
  )
}

export { tf }
