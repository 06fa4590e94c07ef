import * as tf from '@tensorflow/tfjs-core'
import { axisOf, type Kernel, type Kernels } from '../graph/node.js'

/** Indices from the end count as such. */
const fromFront = (indices: tf.Tensor, length: number): tf.Tensor =>
  tf.where(tf.less(indices, 0), tf.add(indices, tf.scalar(length, 'int32')), indices)

/** The whole coordinates of what `indices` name along one axis: int32 [count, rank]. */
function coordinates(indices: tf.Tensor, axis: number, length: number): tf.Tensor2D {
  const { shape, size } = indices
  const along = shape.map((extent, at) => {
    if (at === axis) return tf.reshape(fromFront(indices, length), [size])
    const steps = tf.reshape(
      tf.range(0, extent, 1, 'int32'),
      shape.map((_, other) => (other === at ? extent : 1)),
    )
    return tf.reshape(tf.broadcastTo(steps, shape), [size])
  })
  return tf.stack(along, 1) as tf.Tensor2D
}

const scatterElements: Kernel = (c) => {
  const [data, indices, updates] = [c.in(0), c.in(1), c.in(2)]
  const axis = axisOf(c.int('axis', 0), data.rank)
  const where = coordinates(indices, axis, data.shape[axis] as number)
  const flat = tf.reshape(updates, [updates.size])
  return scattered(c.string('reduction', 'none'), data, where, flat) ?? unknown(c)
}

const scatterNd: Kernel = (c) => scattered(c.string('reduction', 'none'), c.in(0), c.in(1), c.in(2)) ?? unknown(c)

function scattered(reduction: string, data: tf.Tensor, where: tf.Tensor, updates: tf.Tensor): tf.Tensor | undefined {
  // Elements that are named twice add up.
  if (reduction === 'add') return tf.add(data, tf.scatterND(where, updates, data.shape))
  return reduction === 'none' ? tf.tensorScatterUpdate(data, where, updates) : undefined
}

const unknown = (c: Parameters<Kernel>[0]): never => {
  throw c.invalid(`reduction "${c.string('reduction', 'none')}"`)
}

const oneHot: Kernel = (c) => {
  const depth = c.numbers(1)?.[0] ?? 1
  const axis = axisOf(c.int('axis', -1), c.in(0).rank + 1)
  const indices = fromFront(tf.cast(c.in(0), 'int32'), depth)
  const [off, on] = c.numbers(2) ?? [0, 1]
  const hot = tf.cast(tf.oneHot(indices, depth), c.in(2).dtype as 'float32')
  const values = off === 0 && on === 1 ? hot : tf.add(tf.mul(hot, (on ?? 1) - (off ?? 0)), off ?? 0)
  if (axis === values.rank - 1) return values
  const turn = [...values.shape.keys()].slice(0, -1)
  turn.splice(axis, 0, values.rank - 1)
  return tf.transpose(values, turn)
}

/** Operators that go by indices. */
export const indexing: Kernels = {
  Gather: (c) => {
    const axis = axisOf(c.int('axis', 0), c.in(0).rank)
    return tf.gather(c.in(0), fromFront(tf.cast(c.in(1), 'int32'), c.in(0).shape[axis] as number), axis)
  },
  GatherElements: (c) => {
    const [data, indices] = [c.in(0), c.in(1)]
    const axis = axisOf(c.int('axis', 0), data.rank)
    return tf.reshape(tf.gatherND(data, coordinates(indices, axis, data.shape[axis] as number)), indices.shape)
  },
  GatherND: (c) => {
    if (c.int('batch_dims', 0) !== 0) throw c.invalid('batch_dims')
    return tf.gatherND(c.in(0), c.in(1))
  },
  OneHot: oneHot,
  ScatterElements: scatterElements,
  ScatterND: scatterNd,
}
