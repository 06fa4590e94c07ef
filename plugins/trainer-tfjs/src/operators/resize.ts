import * as tf from '@tensorflow/tfjs-core'
import { resizeWeights } from '@tideway/onnx'
import { axisOf, type Kernel, type Kernels } from '../graph/node.js'

/** Each axis by a matrix: Resize is linear and separable. */
const resize: Kernel = (c) => {
  const { shape } = c.in(0)
  const mode = {
    coordinates: c.string('coordinate_transformation_mode', 'half_pixel'),
    mode: c.string('mode', 'nearest'),
    nearest: c.string('nearest_mode', 'round_prefer_floor'),
  }
  const given = c.numbers(2)
  const scales = given !== undefined && given.length > 0 ? given : undefined
  const sizes = c.numbers(3)
  const axes = c.ints('axes')?.map((axis) => axisOf(axis, shape.length)) ?? [...shape.keys()]
  return axes.reduce<tf.Tensor>((rest, axis, at) => {
    const from = shape[axis] as number
    const scale = scales?.[at] ?? (sizes?.[at] ?? from) / from
    const length = sizes?.[at] ?? Math.floor(from * scale)
    if (length === from && scale === 1) return rest
    const weights = resizeWeights(mode, scale, length, from)
    if (weights === undefined) throw c.invalid(`mode ${mode.mode}`)
    return along(rest, axis, tf.tensor2d(Float32Array.from(weights), [length, from]))
  }, c.in(0))
}

/** A tensor whose elements along one axis are multiplied by a matrix [length, from]. */
function along(x: tf.Tensor, axis: number, matrix: tf.Tensor2D): tf.Tensor {
  const after = x.shape.slice(axis + 1)
  const width = after.reduce((product, size) => product * size, 1)
  const [length, from] = matrix.shape
  const rows = tf.reshape(x, [x.size / (from * width), from, width])
  const shape = [...x.shape.slice(0, axis), length, ...after]
  return tf.reshape(tf.matMul(tf.broadcastTo(matrix, [rows.shape[0] as number, length, from]), rows), shape)
}

export const resizing: Kernels = { Resize: resize }
