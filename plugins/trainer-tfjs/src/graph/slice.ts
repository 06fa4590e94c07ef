import * as tf from '@tensorflow/tfjs-core'

/**
 * Part of a tensor. Axes that are taken whole go together first: of more than four axes the WebAssembly backend slices
 * element by element in JavaScript (a small convolutional network trained at a fifth of the pace).
 */
export function sliced(x: tf.Tensor, begin: readonly number[], count: readonly number[]): tf.Tensor {
  const shape: number[] = []
  const from: number[] = []
  const size: number[] = []
  let follows = false
  for (const [axis, length] of x.shape.entries()) {
    const isWhole = begin[axis] === 0 && count[axis] === length
    const last = shape.length - 1
    if (isWhole && follows) {
      shape[last] = (shape[last] as number) * length
      size[last] = shape[last] as number
    } else {
      shape.push(length)
      from.push(begin[axis] ?? 0)
      size.push(count[axis] ?? length)
    }
    follows = isWhole
  }
  if (shape.length === x.rank) return tf.slice(x, [...begin], [...count])
  return tf.reshape(tf.slice(tf.reshape(x, shape), from, size), [...count])
}
