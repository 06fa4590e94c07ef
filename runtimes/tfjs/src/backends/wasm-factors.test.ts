import * as tf from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { chooseBackend } from './choose.js'
import { onBackend } from './exclusive.js'

it.each(['cpu', 'wasm'])('multiplies by the same numbers in one shape and in another, on %s', async (backend) => {
  const { engine } = await chooseBackend([backend])
  const products = await onBackend(engine, () =>
    tf.tidy(() => {
      const b = tf.tensor2d(
        Float32Array.from({ length: 12 }, (_, at) => at),
        [2, 6],
      )
      const [wide, narrow] = [tf.matMul(tf.ones([1, 2]), b), tf.matMul(tf.ones([1, 3]), tf.reshape(b, [3, 4]))]
      return [wide, narrow, tf.matMul(tf.ones([1, 2]), b)].map((product) => [...product.dataSync()])
    }),
  )
  expect(products).toEqual([
    [6, 8, 10, 12, 14, 16],
    [12, 15, 18, 21],
    [6, 8, 10, 12, 14, 16],
  ])
})
