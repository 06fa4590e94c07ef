import * as tf from '@tensorflow/tfjs-core'
import type { Kernel, Kernels, NodeContext } from '../graph/node.js'
import { countsOf, filled, placesOf, seenAt, type Window, windowOf } from './windows.js'

interface Pool {
  readonly image: tf.Tensor
  readonly window: Window
  readonly counts: readonly number[]
}

function poolOf(c: NodeContext, fill: number): Pool {
  const x = c.in(0)
  const sizes = x.shape.slice(2)
  const window = windowOf(c, sizes, c.ints('kernel_shape') ?? [])
  const counts = countsOf(window, sizes, c.int('ceil_mode', 0) === 1)
  return { image: filled(x, window, counts, fill), window, counts }
}

/**
 * The largest of each window, and where it is: ONNX's index into the whole tensor without padding, of the first among
 * equals. Place by place: the backends' own kernels differ in which of them give indices.
 */
const maxPool: Kernel = (c) => {
  const { shape } = c.in(0)
  if (c.int('storage_order', 0) === 1) throw c.invalid('storage_order')
  const { image, window, counts } = poolOf(c, Number.NEGATIVE_INFINITY)
  const places = placesOf(window.kernel)
  if (c.node.output.length < 2)
    return places.map((place) => seenAt(image, window, counts, place)).reduce((a, b) => tf.maximum(a, b))
  const sizes = shape.slice(2)
  const plane = sizes.reduce((product, size) => product * size, 1)
  const origins = tf.mul(
    tf.range(0, (shape[0] as number) * (shape[1] as number), 1, 'int32'),
    tf.scalar(plane, 'int32'),
  )
  const spread = counts.map(() => 1)
  const origin = tf.reshape(origins, [shape[0] as number, shape[1] as number, ...spread])
  let largest: tf.Tensor | undefined
  let index: tf.Tensor | undefined
  for (const place of places) {
    const seen = seenAt(image, window, counts, place)
    const at = tf.broadcastTo(tf.add(origin, placeIn(sizes, window, counts, place)), seen.shape)
    const isLarger = largest === undefined ? undefined : tf.greater(seen, largest)
    index = isLarger === undefined || index === undefined ? at : tf.where(isLarger, at, index)
    largest = largest === undefined ? seen : tf.maximum(largest, seen)
  }
  return [largest, index]
}

/** Where each window's place lies in a plane of the image: int32 [1, 1, ...counts]. */
function placeIn(
  sizes: readonly number[],
  window: Window,
  counts: readonly number[],
  place: readonly number[],
): tf.Tensor {
  return counts.reduce<tf.Tensor>(
    (sum, count, axis) => {
      const width = sizes.slice(axis + 1).reduce((product, size) => product * size, 1)
      const first = (place[axis] ?? 0) * (window.dilations[axis] ?? 1) - (window.begin[axis] ?? 0)
      const steps = Int32Array.from({ length: count }, (_, at) => (first + at * (window.strides[axis] ?? 1)) * width)
      const shape = [1, 1, ...counts.map((length, other) => (other === axis ? length : 1))]
      return tf.add(sum, tf.tensor(steps, shape, 'int32'))
    },
    tf.scalar(0, 'int32'),
  )
}

/** Puts each element where its index says; zeros elsewhere. */
const maxUnpool: Kernel = (c) => {
  const y = c.in(0)
  const wanted = c.numbers(2)
  if (wanted === undefined) throw c.invalid('output_shape is missing')
  const count = wanted.reduce((product, size) => product * size, 1)
  const flat = tf.scatterND(tf.reshape(c.in(1), [y.size, 1]), tf.reshape(y, [y.size]), [count])
  return tf.reshape(flat, [...wanted])
}

const averagePool: Kernel = (c) => {
  const x = c.in(0)
  const { image, window, counts } = poolOf(c, 0)
  const places = placesOf(window.kernel)
  const sum = places.map((place) => seenAt(image, window, counts, place)).reduce((a, b) => tf.add(a, b))
  const withPads = c.int('count_include_pad', 0) === 1
  const averaged = counts.map((count, axis) =>
    Float32Array.from({ length: count }, (_, at) => {
      const size = x.shape[axis + 2] as number
      const first = at * (window.strides[axis] ?? 1) - (window.begin[axis] ?? 0)
      const stop = size + (withPads ? (window.end[axis] ?? 0) : 0)
      const seen = Array.from({ length: window.kernel[axis] ?? 1 }, (_, k) => first + k * (window.dilations[axis] ?? 1))
      return seen.filter((place) => place < stop && (withPads || place >= 0)).length
    }),
  )
  return averaged.reduce<tf.Tensor>(
    (rest, numbers, axis) =>
      tf.div(
        rest,
        tf.tensor(
          numbers,
          counts.map((count, other) => (other === axis ? count : 1)),
        ),
      ),
    sum,
  )
}

const overSpace =
  (reduce: (x: tf.Tensor, axes: number[], keep: boolean) => tf.Tensor): Kernel =>
  (c) =>
    reduce(c.in(0), [...c.in(0).shape.keys()].slice(2), true)

/** Pooling over any number of spatial axes, channels first. */
export const pooling: Kernels = {
  AveragePool: averagePool,
  GlobalAveragePool: overSpace(tf.mean),
  GlobalMaxPool: overSpace(tf.max),
  MaxPool: maxPool,
  MaxUnpool: maxUnpool,
}
