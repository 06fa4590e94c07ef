import * as tf from '@tensorflow/tfjs-core'
import { type Kernel, type Kernels, toRank } from '../graph/node.js'

/** numpy's matmul: leading axes broadcast, a vector counts as a row or a column. */
export function matMul(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  const left = a.rank === 1 ? tf.expandDims(a, 0) : a
  const right = b.rank === 1 ? tf.expandDims(b, 1) : b
  const product = multiply(left, right)
  const shape = [
    ...product.shape.slice(0, -2),
    ...(a.rank === 1 ? [] : product.shape.slice(-2, -1)),
    ...(b.rank === 1 ? [] : product.shape.slice(-1)),
  ]
  return a.rank === 1 || b.rank === 1 ? tf.reshape(product, shape) : product
}

function multiply(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  if (b.rank === 2 && a.rank > 2) {
    const rows = a.size / (a.shape.at(-1) as number)
    const flat = tf.matMul(tf.reshape(a, [rows, a.shape.at(-1) as number]), b)
    return tf.reshape(flat, [...a.shape.slice(0, -1), b.shape[1] as number])
  }
  const rank = Math.max(a.rank, b.rank)
  const [left, right] = [toRank(a, rank), toRank(b, rank)]
  const batch = tf.broadcast_util.assertAndGetBroadcastShape(left.shape.slice(0, -2), right.shape.slice(0, -2))
  // Its own broadcasting repeats the smaller batch as a whole, whatever axes are of size 1.
  const wide = (x: tf.Tensor): tf.Tensor => {
    const isWide = batch.every((size, axis) => size === x.shape[axis])
    return isWide ? x : tf.broadcastTo(x, [...batch, ...x.shape.slice(-2)])
  }
  return tf.matMul(wide(left), wide(right))
}

const gemm: Kernel = (c) => {
  const [alpha, beta] = [c.float('alpha', 1), c.float('beta', 1)]
  const product = tf.matMul(
    c.in(0) as tf.Tensor2D,
    c.in(1) as tf.Tensor2D,
    c.int('transA', 0) === 1,
    c.int('transB', 0) === 1,
  )
  const scaled = alpha === 1 ? product : tf.mul(product, alpha)
  const added = c.maybe(2)
  if (added === undefined || beta === 0) return scaled
  return tf.add(scaled, beta === 1 ? added : tf.mul(added, beta))
}

/** Matrix products. */
export const products: Kernels = {
  Einsum: (c) => tf.einsum(c.string('equation', '').replaceAll(' ', ''), ...c.all()),
  Gemm: gemm,
  MatMul: (c) => matMul(c.in(0), c.in(1)),
}
