import * as tf from '@tensorflow/tfjs-core'
import { axisOf, type Kernel, type Kernels } from '../graph/node.js'

/** One number a channel, to go with [n, c, ...]. */
const perChannel = (values: tf.Tensor, rank: number): tf.Tensor =>
  tf.reshape(values, [1, values.size, ...Array<number>(Math.max(0, rank - 2)).fill(1)])

/** While training: with the batch's moments, which go into the running ones too (the variance is over all elements). */
const batchNormalization: Kernel = (c) => {
  const x = c.in(0)
  const isTraining = c.int('training_mode', 0) === 1
  const epsilon = c.float('epsilon', 1e-5)
  const axes = [...x.shape.keys()].filter((axis) => axis !== 1)
  const { mean, variance } = isTraining ? tf.moments(x, axes) : { mean: c.in(3), variance: c.in(4) }
  const scale = tf.div(c.in(1), tf.sqrt(tf.add(variance, epsilon)))
  const centered = tf.sub(x, perChannel(mean, x.rank))
  const y = tf.add(tf.mul(centered, perChannel(scale, x.rank)), perChannel(c.in(2), x.rank))
  if (!isTraining) return y
  const momentum = c.float('momentum', 0.9)
  const running = (before: tf.Tensor, now: tf.Tensor) => tf.add(tf.mul(before, momentum), tf.mul(now, 1 - momentum))
  return [y, running(c.in(3), mean), running(c.in(4), variance)]
}

const layerNormalization: Kernel = (c) => {
  const x = c.in(0)
  const first = axisOf(c.int('axis', -1), x.rank)
  const axes = [...x.shape.keys()].slice(first)
  const { mean, variance } = tf.moments(x, axes, true)
  const inverse = tf.rsqrt(tf.add(variance, c.float('epsilon', 1e-5)))
  const normal = tf.mul(tf.mul(tf.sub(x, mean), inverse), c.in(1))
  const bias = c.maybe(2)
  return [bias === undefined ? normal : tf.add(normal, bias), mean, inverse].slice(0, c.node.output.length)
}

const instanceNormalization: Kernel = (c) => {
  const x = c.in(0)
  const { mean, variance } = tf.moments(x, [...x.shape.keys()].slice(2), true)
  const normal = tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, c.float('epsilon', 1e-5))))
  return tf.add(tf.mul(normal, perChannel(c.in(1), x.rank)), perChannel(c.in(2), x.rank))
}

function logSoftmax(x: tf.Tensor, axis: number): tf.Tensor {
  const shifted = tf.sub(x, tf.max(x, axis, true))
  return tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), axis, true)))
}

function softmax(x: tf.Tensor, axis: number): tf.Tensor {
  const powers = tf.exp(tf.sub(x, tf.max(x, axis, true)))
  return tf.div(powers, tf.sum(powers, axis, true))
}

/** Logits [n, classes, ...] against classes [n, ...]. */
const crossEntropy: Kernel = (c) => {
  const [x, labels] = [c.in(0), c.in(1)]
  const classes = x.shape[1] as number
  const log = logSoftmax(x, 1)
  // From [n, ..., classes] to [n, classes, ...].
  const last = tf.oneHot(tf.cast(labels, 'int32'), classes)
  const turn = [0, x.rank - 1, ...[...x.shape.keys()].slice(1, -1)]
  const chosen = tf.cast(x.rank === 2 ? last : tf.transpose(last, turn), 'float32')
  const weights = c.maybe(2)
  const share = weights === undefined ? chosen : tf.mul(chosen, perChannel(weights, x.rank))
  const losses = tf.neg(tf.sum(tf.mul(log, share), 1))
  const counted = tf.sum(share)
  const reduction = c.string('reduction', 'mean')
  const loss = reduction === 'none' ? losses : reduction === 'sum' ? tf.sum(losses) : tf.div(tf.sum(losses), counted)
  return [loss, log].slice(0, c.node.output.length)
}

/** Operators that divide by what they sum. A class that is to be ignored (`ignore_index`) is a row of no class. */
export const normalizations: Kernels = {
  BatchNormalization: batchNormalization,
  InstanceNormalization: instanceNormalization,
  LayerNormalization: layerNormalization,
  LogSoftmax: (c) => logSoftmax(c.in(0), axisOf(c.int('axis', -1), c.in(0).rank)),
  Softmax: (c) => softmax(c.in(0), axisOf(c.int('axis', -1), c.in(0).rank)),
  SoftmaxCrossEntropyLoss: crossEntropy,
}
