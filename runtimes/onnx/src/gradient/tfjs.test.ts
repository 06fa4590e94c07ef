import '@tensorflow/tfjs-backend-cpu'
import * as tf from '@tensorflow/tfjs-core'
// Registers the gradients: tfjs-core's own registration is not in its bundle for Node.
import '@tensorflow/tfjs-layers'
import { beforeAll, describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { floats, int64s, type Value } from '../build/value.js'
import { differentiate } from './differentiate.js'
import { evaluate, seeded } from './gradient.fixture.js'

/** One function in both: of float32 tensors of the given shapes. */
interface Pair {
  readonly shapes: readonly (readonly number[])[]
  readonly ours: (g: GraphBuilder, inputs: readonly Value[]) => Value
  readonly theirs: (...inputs: tf.Tensor[]) => tf.Tensor
  readonly domain?: (value: number) => number
}

const tying = (value: number): number => Math.round(value * 2)
const positive = (value: number): number => Math.abs(value) + 0.3

const ints = (g: GraphBuilder, ...values: readonly number[]): Value => g.constant(int64s(values))
const scalar = (g: GraphBuilder, value: number): Value => g.constant(floats('float32', [value]))

/** The same name and no attributes. */
const unary = (opType: string, theirs: (x: tf.Tensor) => tf.Tensor, domain?: Pair['domain']): Pair => ({
  shapes: [[3, 4]],
  ours: (g, [x]) => g.op(opType, [x]),
  theirs: (x) => theirs(x as tf.Tensor),
  ...(domain && { domain }),
})

const binary = (opType: string, theirs: (x: tf.Tensor, y: tf.Tensor) => tf.Tensor, domain?: Pair['domain']): Pair[] =>
  [
    [
      [2, 3],
      [2, 3],
    ],
    [[2, 3], [3]],
    [
      [2, 1, 2],
      [3, 1],
    ],
  ].map((shapes) => ({
    shapes,
    ours: (g, inputs) => g.op(opType, inputs),
    theirs: (x, y) => theirs(x as tf.Tensor, y as tf.Tensor),
    ...(domain && { domain }),
  }))

const reduction = (opType: string, theirs: (x: tf.Tensor, axis: number) => tf.Tensor): Pair => ({
  shapes: [[2, 3, 4]],
  ours: (g, [x]) =>
    opType === 'ReduceSum'
      ? g.op(opType, [x, ints(g, 1)], { keepdims: 0n })
      : g.op(opType, [x], { axes: [1n], keepdims: 0n }),
  theirs: (x) => theirs(x as tf.Tensor, 1),
})

const moved = (
  shape: readonly number[],
  ours: (g: GraphBuilder, x: Value) => Value,
  theirs: (x: tf.Tensor) => tf.Tensor,
): Pair => ({ shapes: [shape], ours: (g, [x]) => ours(g, x as Value), theirs: (x) => theirs(x as tf.Tensor) })

const labels = [2, 0, 1]

/** Operators that tfjs has a gradient of. Its round trip through float32 is that of ours. */
const PAIRS: Readonly<Record<string, readonly Pair[]>> = {
  Abs: [unary('Abs', tf.abs)],
  Add: binary('Add', tf.add),
  Clip: [
    moved(
      [4, 4],
      (g, x) => g.op('Clip', [x, scalar(g, -0.5), scalar(g, 1)]),
      (x) => tf.clipByValue(x, -0.5, 1),
    ),
  ],
  Concat: [
    {
      shapes: [
        [2, 3],
        [2, 1],
      ],
      ours: (g, inputs) => g.op('Concat', inputs, { axis: 1n }),
      theirs: (x, y) => tf.concat([x as tf.Tensor, y as tf.Tensor], 1),
    },
  ],
  Cos: [unary('Cos', tf.cos)],
  CumSum: [
    moved(
      [3, 4],
      (g, x) => g.op('CumSum', [x, ints(g, 1)], { exclusive: 1n, reverse: 1n }),
      (x) => tf.cumsum(x, 1, true, true),
    ),
  ],
  Div: binary('Div', tf.div, positive),
  Elu: [unary('Elu', tf.elu)],
  Erf: [unary('Erf', tf.erf)],
  Exp: [unary('Exp', tf.exp)],
  Gather: [
    moved(
      [4, 3],
      (g, x) => g.op('Gather', [x, ints(g, 3, 0, 3)]),
      (x) => tf.gather(x, tf.tensor1d([3, 0, 3], 'int32')),
    ),
    moved(
      [2, 4, 2],
      (g, x) => g.op('Gather', [x, ints(g, 1, 1, 2)], { axis: 1n }),
      (x) => tf.gather(x, tf.tensor1d([1, 1, 2], 'int32'), 1),
    ),
  ],
  LeakyRelu: [
    moved(
      [3, 4],
      (g, x) => g.op('LeakyRelu', [x], { alpha: 0.2 }),
      (x) => tf.leakyRelu(x, 0.2),
    ),
  ],
  Log: [unary('Log', tf.log, positive)],
  LogSoftmax: [unary('LogSoftmax', (x) => tf.logSoftmax(x))],
  MatMul: [
    {
      shapes: [
        [2, 2, 3],
        [2, 3, 4],
      ],
      ours: (g, inputs) => g.op('MatMul', inputs),
      theirs: (x, y) => tf.matMul(x as tf.Tensor, y as tf.Tensor),
    },
  ],
  // tfjs does not sum over what these broadcast; whole numbers make ties.
  Max: binary('Max', tf.maximum, tying).slice(0, 1),
  Min: binary('Min', tf.minimum, tying).slice(0, 1),
  Mul: binary('Mul', tf.mul),
  Neg: [unary('Neg', tf.neg)],
  Pad: [
    moved(
      [2, 3],
      (g, x) => g.op('Pad', [x, ints(g, 1, 0, 0, 2)]),
      (x) =>
        tf.pad(x, [
          [1, 0],
          [0, 2],
        ]),
    ),
  ],
  Pow: binary('Pow', tf.pow, positive),
  PRelu: [
    {
      shapes: [[2, 3, 2], [2]],
      ours: (g, inputs) => g.op('PRelu', inputs),
      theirs: (x, slope) => tf.prelu(x as tf.Tensor, slope as tf.Tensor),
    },
  ],
  Reciprocal: [unary('Reciprocal', tf.reciprocal, positive)],
  ReduceMax: [reduction('ReduceMax', (x, axis) => tf.max(x, axis))],
  ReduceMean: [reduction('ReduceMean', (x, axis) => tf.mean(x, axis))],
  ReduceMin: [reduction('ReduceMin', (x, axis) => tf.min(x, axis))],
  ReduceL2: [reduction('ReduceL2', (x, axis) => tf.norm(x, 'euclidean', axis))],
  ReduceLogSumExp: [reduction('ReduceLogSumExp', (x, axis) => tf.logSumExp(x, axis))],
  ReduceSum: [reduction('ReduceSum', (x, axis) => tf.sum(x, axis))],
  ReduceSumSquare: [reduction('ReduceSumSquare', (x, axis) => tf.sum(tf.square(x), axis))],
  Relu: [unary('Relu', tf.relu)],
  Reshape: [
    moved(
      [2, 6],
      (g, x) => g.op('Reshape', [x, ints(g, 3, -1)]),
      (x) => tf.reshape(x, [3, 4]),
    ),
  ],
  Selu: [unary('Selu', tf.selu)],
  Sigmoid: [unary('Sigmoid', tf.sigmoid)],
  Sin: [unary('Sin', tf.sin)],
  Slice: [
    moved(
      [3, 4],
      (g, x) => g.op('Slice', [x, ints(g, 1, 1), ints(g, 3, 3)]),
      (x) => tf.slice(x, [1, 1], [2, 2]),
    ),
  ],
  Softmax: [unary('Softmax', (x) => tf.softmax(x))],
  SoftmaxCrossEntropyLoss: [
    moved(
      [3, 4],
      (g, x) => g.op('SoftmaxCrossEntropyLoss', [x, ints(g, ...labels)]),
      (x) => tf.losses.softmaxCrossEntropy(tf.oneHot(tf.tensor1d(labels, 'int32'), 4), x),
    ),
  ],
  Softplus: [unary('Softplus', tf.softplus)],
  Split: [
    moved(
      [2, 6],
      (g, x) => g.op('Mul', g.ops('Split', [x, ints(g, 3, 3)], { axis: 1n }, { outputs: 2 })),
      (x) => {
        const [left, right] = tf.split(x, 2, 1) as [tf.Tensor, tf.Tensor]
        return tf.mul(left, right)
      },
    ),
  ],
  Sqrt: [unary('Sqrt', tf.sqrt, positive)],
  Sub: binary('Sub', tf.sub),
  Tanh: [unary('Tanh', tf.tanh)],
  Tile: [
    moved(
      [2, 3],
      (g, x) => g.op('Tile', [x, ints(g, 2, 3)]),
      (x) => tf.tile(x, [2, 3]),
    ),
  ],
  Transpose: [
    moved(
      [2, 3, 4],
      (g, x) => g.op('Transpose', [x], { perm: [2n, 0n, 1n] }),
      (x) => tf.transpose(x, [2, 0, 1]),
    ),
  ],
  Where: [
    {
      shapes: [
        [2, 3],
        [2, 3],
      ],
      ours: (g, [x, y]) =>
        g.op('Where', [g.op('Greater', [g.constant(floats('float32', [1, -1, 1], [3])), scalar(g, 0)]), x, y]),
      theirs: (x, y) => tf.where(tf.tensor1d([true, false, true], 'bool'), x as tf.Tensor, y as tf.Tensor),
    },
  ],
}

/** Both round to float32, a relative 6e-8, in other orders; powers and quotients magnify that a hundredfold here. */
const TOLERANCE = 2e-5

describe('gradients equal those of tfjs', () => {
  beforeAll(async () => {
    await tf.setBackend('cpu')
  })

  for (const [operator, pairs] of Object.entries(PAIRS)) {
    it(`of ${operator}`, async () => {
      for (const [at, pair] of pairs.entries()) await compare(pair, seeded(at + 11))
    })
  }
})

async function compare({ shapes, ours, theirs, domain = (v) => v * 2 }: Pair, random: () => number): Promise<void> {
  const data = shapes.map((shape) =>
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => domain(random() * 2 - 1)),
  )
  const g = new GraphBuilder('tfjs')
  const inputs = shapes.map((shape, place) => g.input(`x${place}`, 'float32', shape))
  const y = ours(g, inputs)
  // A loss that weighs each output by itself, so that errors do not cancel.
  const loss = g.op('ReduceSum', [g.op('Mul', [y, g.op('Sin', [y])])], { keepdims: 0n })
  for (const [place, gradient] of differentiate(g, loss, inputs).entries()) g.output(`d${place}`, gradient)
  const feeds = shapes.map((shape, place) => [`x${place}`, floats('float32', data[place] ?? [], shape)] as const)
  const out = await evaluate(g, Object.fromEntries(feeds))
  const tensors = shapes.map((shape, place) => tf.tensor(data[place] ?? [], [...shape]))
  const gradients = tf.grads((...values) => {
    const made = theirs(...values)
    return tf.sum(tf.mul(made, tf.sin(made)))
  })(tensors)
  for (const [place, gradient] of gradients.entries()) {
    const expected = await gradient.data()
    const actual = out[`d${place}`] ?? []
    expect(actual).toHaveLength(expected.length)
    for (const [element, value] of actual.entries())
      expect(Math.abs(value - (expected[element] ?? 0)), `input ${place} [${element}]`).toBeLessThan(
        TOLERANCE * (1 + Math.abs(value)),
      )
  }
}
