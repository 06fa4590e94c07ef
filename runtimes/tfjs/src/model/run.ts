import * as tf from '@tensorflow/tfjs-core'
import { type Tensor, type Tensors } from '@tideway/core'
import type { Feeds, Model } from './model.js'

/** Runs a model and reads what it answers; its own tensors of TensorFlow.js are gone afterwards. */
export async function runModel(model: Model, inputs: Tensors): Promise<Tensors> {
  const outputs = await model.run(() => feedsOf(inputs))
  try {
    const read = await Promise.all(
      outputs.map(async (output, at): Promise<[string, Tensor]> => {
        // A backend may answer with the memory that a weight or an input lies in.
        const data = (await output.data()).slice()
        return [model.outputs[at]?.name ?? '', { dtype: output.dtype, shape: output.shape, data } as Tensor]
      }),
    )
    return Object.fromEntries(read)
  } finally {
    tf.dispose(outputs)
  }
}

function feedsOf(inputs: Tensors): Feeds {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { dtype, shape, data }]) => [
      name,
      tf.tensor(data as tf.TypedArray, [...shape], dtype as tf.DataType),
    ]),
  )
}
