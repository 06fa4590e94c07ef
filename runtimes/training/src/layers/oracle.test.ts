import * as keras from '@tensorflow/tfjs-layers'
import { describe, expect, it } from 'vitest'
import { fromKeras } from '../keras/index.js'
import { trainableOf } from './index.js'
import { fillWeights, imported, tf } from './oracle.fixture.js'
import { distance, numbers, run } from './run.fixture.js'

type Build = (x: keras.SymbolicTensor) => keras.SymbolicTensor | keras.SymbolicTensor[]
const of =
  (layer: { apply: (x: never) => unknown }): Build =>
  (x) =>
    layer.apply(x as never) as keras.SymbolicTensor
const { layers: k } = keras

/** A layer of TensorFlow.js over rows of a shape; behind `apply`, branches. */
const CASES: Readonly<Record<string, readonly [row: number[], build: () => Build]>> = {
  dense: [[5], () => of(k.dense({ units: 3 }))],
  'dense without bias over steps': [[4, 5], () => of(k.dense({ units: 3, useBias: false, activation: 'tanh' }))],
  'dense with softmax': [[5], () => of(k.dense({ units: 3, activation: 'softmax' }))],
  embedding: [[4], () => of(k.embedding({ inputDim: 7, outputDim: 3 }))],
  'flatten of channels': [
    [2, 3, 2],
    () => (x) => {
      const turned = k.conv2d({ filters: 2, kernelSize: 1 }).apply(x)
      return k.dense({ units: 2 }).apply(k.flatten().apply(turned)) as keras.SymbolicTensor
    },
  ],
  'reshape and permute': [
    [4, 3],
    () => (x) =>
      k.permute({ dims: [2, 1] }).apply(k.reshape({ targetShape: [2, -1] }).apply(x)) as keras.SymbolicTensor,
  ],
  conv1d: [[9, 2], () => of(k.conv1d({ filters: 3, kernelSize: 3, strides: 2, padding: 'same', activation: 'relu' }))],
  'conv1d, dilated': [[9, 2], () => of(k.conv1d({ filters: 3, kernelSize: 3, dilationRate: 2 }))],
  conv2d: [[6, 5, 2], () => of(k.conv2d({ filters: 3, kernelSize: [3, 2] }))],
  'conv2d, same, strided': [
    [6, 5, 2],
    () => of(k.conv2d({ filters: 3, kernelSize: 3, strides: 2, padding: 'same', activation: 'sigmoid' })),
  ],
  'conv2d, dilated, without bias': [
    [7, 6, 1],
    () => of(k.conv2d({ filters: 2, kernelSize: 2, dilationRate: 2, useBias: false })),
  ],
  'conv2d with softmax over channels': [
    [3, 3, 2],
    () => of(k.conv2d({ filters: 3, kernelSize: 1, activation: 'softmax' })),
  ],
  depthwiseConv2d: [
    [6, 5, 2],
    () => of(k.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, padding: 'same', strides: 2 })),
  ],
  separableConv2d: [[6, 5, 2], () => of(k.separableConv2d({ filters: 3, kernelSize: 3, padding: 'same' }))],
  'conv2dTranspose, same': [
    [3, 4, 2],
    () => of(k.conv2dTranspose({ filters: 3, kernelSize: 3, strides: 2, padding: 'same' })),
  ],
  'conv2dTranspose, valid': [[3, 4, 2], () => of(k.conv2dTranspose({ filters: 3, kernelSize: 3, strides: 2 }))],
  'conv2dTranspose, stride above the window': [
    [3, 3, 1],
    () => of(k.conv2dTranspose({ filters: 2, kernelSize: 2, strides: 3, padding: 'same' })),
  ],
  maxPooling1d: [[7, 2], () => of(k.maxPooling1d({ poolSize: 2 }))],
  'maxPooling2d, same': [[5, 5, 2], () => of(k.maxPooling2d({ poolSize: 3, strides: 2, padding: 'same' }))],
  averagePooling1d: [[7, 2], () => of(k.averagePooling1d({ poolSize: 3, strides: 2, padding: 'same' }))],
  'averagePooling2d, same': [[5, 5, 2], () => of(k.averagePooling2d({ poolSize: 2, strides: 2, padding: 'same' }))],
  globalAveragePooling1d: [[5, 2], () => of(k.globalAveragePooling1d({}))],
  'globalAveragePooling2d behind a convolution': [
    [4, 4, 2],
    () => (x) =>
      k.globalAveragePooling2d({}).apply(k.conv2d({ filters: 3, kernelSize: 2 }).apply(x)) as keras.SymbolicTensor,
  ],
  globalMaxPooling1d: [[5, 2], () => of(k.globalMaxPooling1d({}))],
  globalMaxPooling2d: [[4, 4, 2], () => of(k.globalMaxPooling2d({}))],
  zeroPadding2d: [
    [3, 4, 2],
    () =>
      of(
        k.zeroPadding2d({
          padding: [
            [1, 2],
            [0, 3],
          ],
        }),
      ),
  ],
  cropping2d: [
    [6, 5, 2],
    () =>
      of(
        k.cropping2D({
          cropping: [
            [1, 2],
            [0, 1],
          ],
        }),
      ),
  ],
  upSampling2d: [[3, 4, 2], () => of(k.upSampling2d({ size: [2, 3] }))],
  batchNormalization: [[3, 4, 2], () => of(k.batchNormalization({}))],
  'batchNormalization without scale': [[4], () => of(k.batchNormalization({ scale: false, epsilon: 0.01 }))],
  layerNormalization: [[3, 5], () => of(k.layerNormalization({}))],
  lstm: [[5, 3], () => of(k.lstm({ units: 4, recurrentActivation: 'sigmoid' }))],
  'lstm with hard gates, all steps': [
    [5, 3],
    () => of(k.lstm({ units: 2, recurrentActivation: 'hardSigmoid', returnSequences: true })),
  ],
  'lstm backwards without bias': [
    [5, 3],
    () =>
      of(
        k.lstm({ units: 2, recurrentActivation: 'sigmoid', useBias: false, goBackwards: true, returnSequences: true }),
      ),
  ],
  gru: [[5, 3], () => of(k.gru({ units: 4, recurrentActivation: 'sigmoid' }))],
  "gru with TensorFlow.js's own gates": [[5, 3], () => of(k.gru({ units: 3 }))],
  'bidirectional with hard gates': [
    [4, 3],
    () => of(k.bidirectional({ layer: k.lstm({ units: 2, returnSequences: true }) as never, mergeMode: 'concat' })),
  ],
  'gru, all steps': [
    [5, 3],
    () => of(k.gru({ units: 2, recurrentActivation: 'sigmoid', returnSequences: true, useBias: false })),
  ],
  ...Object.fromEntries(
    (['concat', 'sum', 'mul', 'ave'] as const).map(
      (mergeMode, at) =>
        [
          `bidirectional, ${mergeMode}`,
          [
            [4, 3],
            () =>
              of(
                k.bidirectional({
                  layer: k.lstm({ units: 2, recurrentActivation: 'sigmoid', returnSequences: at % 2 === 0 }) as never,
                  mergeMode,
                }),
              ),
          ],
        ] as const,
    ),
  ),
  ...Object.fromEntries(
    (['add', 'multiply', 'average', 'maximum', 'minimum', 'concatenate'] as const).map(
      (name) =>
        [
          `${name} of branches`,
          [
            [4, 4, 2],
            () => (x) => {
              const left = k.conv2d({ filters: 2, kernelSize: 1, activation: 'relu' }).apply(x) as keras.SymbolicTensor
              return k[name]().apply([left, x, left]) as keras.SymbolicTensor
            },
          ],
        ] as const,
    ),
  ),
  ...Object.fromEntries(
    (
      [
        'relu',
        'relu6',
        'elu',
        'selu',
        'sigmoid',
        'hardSigmoid',
        'swish',
        'tanh',
        'softplus',
        'softsign',
        'softmax',
      ] as const
    ).map(
      (activation) =>
        [
          `activation ${activation}`,
          [
            [6],
            () => (x) => k.activation({ activation }).apply(k.dense({ units: 5 }).apply(x)) as keras.SymbolicTensor,
          ],
        ] as const,
    ),
  ),
  leakyReLU: [[6], () => of(k.leakyReLU({ alpha: 0.1 }))],
}

const BATCH = 2

/**
 * Linear layers whose gradient in TensorFlow.js 4.22 contradicts its own output (a mean over a window that reaches into
 * the padding is divided by the whole window, though padding does not count). Differences of its outputs are exact.
 */
const BY_DIFFERENCES = new Set(['averagePooling1d', 'averagePooling2d, same', 'upSampling2d'])

/** Where TensorFlow.js has no gradient (rounded inputs, dilations, a hard gate in a fused cell), outputs are compared. */
const OUTPUT_ONLY = new Set([
  'embedding',
  'conv1d, dilated',
  'conv2d, dilated, without bias',
  'batchNormalization without scale',
  'lstm with hard gates, all steps',
])

/**
 * float32 in both: sums of some dozen products, in another order, differ by a few of their last bits (6e-8 each, of the
 * largest number), and recurrent layers add them up over steps.
 */
const TOLERANCE = 1e-5

/** The slopes of a linear function. */
function differences(f: (rows: tf.Tensor) => tf.Tensor, data: Float32Array, shape: number[]): Float32Array {
  const at = (place: number, step: number) => {
    const moved = data.slice()
    moved[place] = (moved[place] as number) + step
    return f(tf.tensor(moved, shape)).dataSync()[0] as number
  }
  return data.map((_, place) => at(place, 0.5) - at(place, -0.5))
}

describe('a layer, its weights and its gradients are those of TensorFlow.js:', () => {
  it.each(Object.entries(CASES))('%s', async (name, [row, build]) => {
    const input = keras.input({ shape: row, name: 'image' })
    const model = keras.model({ inputs: input, outputs: build()(input), name: 'model' })
    fillWeights(model)
    const forwardOnly = OUTPUT_ONLY.has(name)
    const random = numbers(BATCH * row.reduce((a, b) => a * b, 1), 99, 3)
    const data = name === 'embedding' ? random.map((value) => Math.floor(Math.abs(value) * 2)) : random
    const x = tf.tensor(data, [BATCH, ...row])
    const expected = model.predict(x) as tf.Tensor
    const direction = numbers(expected.size, 5)
    const { network, weights } = await imported(model)
    const trainable = trainableOf(network)

    expect(trainable.output.shape).toEqual(expected.shape.slice(1))
    const found = await run(trainable, weights, { batch: BATCH, data }, forwardOnly ? {} : { direction })
    expect(found.shape).toEqual(expected.shape)
    expect(distance(found.output, expected.dataSync())).toBeLessThan(TOLERANCE)
    if (forwardOnly) return

    const loss = (rows: tf.Tensor) =>
      tf.sum(tf.mul(model.apply(rows, { training: false }) as tf.Tensor, tf.tensor(direction, expected.shape)))
    const byRows = BY_DIFFERENCES.has(name) ? differences(loss, data, [BATCH, ...row]) : tf.grad(loss)(x).dataSync()
    expect(distance(found.gradients.get('rows') ?? [], byRows)).toBeLessThan(TOLERANCE)
    const trained = new Set(model.trainableWeights)
    if (trained.size === 0) return
    const variables = model.trainableWeights.map((weight) => (weight as unknown as { val: tf.Variable }).val)
    const { grads } = tf.variableGrads(() => loss(x) as tf.Scalar, variables)
    const inKeras = model.weights.map((weight) => ({
      name: weight.originalName,
      shape: weight.shape.map((size) => size ?? 1),
      data: trained.has(weight)
        ? (grads[(weight as unknown as { val: tf.Variable }).val.name]?.dataSync() as Float32Array)
        : new Float32Array(weight.shape.reduce<number>((a, b) => a * (b ?? 1), 1)),
    }))
    // Moving a kernel's axes moves those of its gradient alike.
    const gradients = fromKeras(model.toJSON(undefined, false), inKeras).weights
    for (const { name: parameter } of trainable.parameters)
      expect(distance(found.gradients.get(parameter) ?? [], gradients.get(parameter) ?? []), parameter).toBeLessThan(
        TOLERANCE,
      )
  })

  it.each<[string, number[]]>([
    ['images', [3, 4, 2]],
    ['features', [5]],
  ])('batchNormalization of %s while training', async (_, row) => {
    const input = keras.input({ shape: row })
    const model = keras.model({ inputs: input, outputs: k.batchNormalization({}).apply(input) as keras.SymbolicTensor })
    fillWeights(model)
    const batch = 4
    const size = batch * row.reduce((a, b) => a * b, 1)
    const [data, direction] = [numbers(size, 8, 3), numbers(size, 9)]
    const shape = [batch, ...row]
    const { network, weights } = await imported(model)
    const found = await run(trainableOf(network), weights, { batch, data }, { direction, training: true })
    const apply = (rows: tf.Tensor) => model.apply(rows, { training: true }) as tf.Tensor
    const x = tf.tensor(data, shape)
    expect(distance(found.output, apply(x).dataSync())).toBeLessThan(TOLERANCE)
    const slopes = tf
      .grad((rows) => tf.sum(tf.mul(apply(rows), tf.tensor(direction, shape))))(x)
      .dataSync()
    expect(distance(found.gradients.get('rows') ?? [], slopes)).toBeLessThan(TOLERANCE)
  })
})
