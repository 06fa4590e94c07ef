import { TidewayError } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { trainableOf } from '../layers/index.js'
import { distance, numbers, run } from '../layers/run.fixture.js'
import { fromKeras } from './index.js'

function thrown(work: () => unknown): { readonly code: string; readonly issues: readonly string[] } {
  try {
    work()
  } catch (error) {
    if (error instanceof TidewayError) return { code: error.code, issues: error.data['issues'] as string[] }
    throw error
  }
  return { code: 'nothing', issues: [] }
}

/** As Keras 2.15's `model.to_json()` writes it, shortened to what a layer is made of. */
const keras2 = {
  class_name: 'Sequential',
  keras_version: '2.15.0',
  backend: 'tensorflow',
  config: {
    name: 'sequential',
    layers: [
      {
        class_name: 'InputLayer',
        module: 'keras.layers',
        config: { batch_input_shape: [null, 8, 8, 1], dtype: 'float32', sparse: false, ragged: false, name: 'image' },
      },
      {
        class_name: 'Conv2D',
        config: {
          name: 'conv',
          trainable: true,
          dtype: 'float32',
          filters: 2,
          kernel_size: [3, 3],
          strides: [1, 1],
          padding: 'same',
          data_format: 'channels_last',
          dilation_rate: [1, 1],
          groups: 1,
          activation: 'hard_sigmoid',
          use_bias: true,
          kernel_initializer: { class_name: 'HeNormal', config: { seed: null } },
          bias_initializer: { class_name: 'Zeros', config: {} },
          kernel_regularizer: { class_name: 'L2', config: { l2: 0.001 } },
          bias_regularizer: null,
          activity_regularizer: null,
          kernel_constraint: null,
          bias_constraint: null,
        },
      },
      {
        class_name: 'BatchNormalization',
        config: {
          name: 'bn',
          axis: [3],
          momentum: 0.9,
          epsilon: 0.001,
          center: true,
          scale: true,
          beta_initializer: { class_name: 'Zeros', config: {} },
        },
      },
      { class_name: 'ReLU', config: { name: 'relu', max_value: 6, negative_slope: 0, threshold: 0 } },
      { class_name: 'GlobalAveragePooling2D', config: { name: 'pool', data_format: 'channels_last', keepdims: false } },
      { class_name: 'Dense', config: { name: 'dense', units: 3, activation: 'softmax', use_bias: true } },
    ],
  },
}

const tensor = (name: string, shape: number[], step: number) => ({
  class_name: '__keras_tensor__',
  config: { shape: [null, ...shape], dtype: 'float32', keras_history: [name, step, 0] },
})
const keras3 = (className: string, name: string, config: object, ...args: unknown[]) => ({
  module: 'keras.layers',
  class_name: className,
  config: {
    name,
    trainable: true,
    dtype: { module: 'keras', class_name: 'DTypePolicy', config: { name: 'float32' }, registered_name: null },
    ...config,
  },
  registered_name: null,
  name,
  inbound_nodes: args.length === 0 ? [] : [{ args, kwargs: {} }],
})

/** As Keras 3 writes a functional model; layers are not in the order that they run in. */
const functional = {
  module: 'keras.src.models.functional',
  class_name: 'Functional',
  config: {
    name: 'functional',
    layers: [
      keras3('InputLayer', 'x', { batch_shape: [null, 4, 6] }),
      keras3('Add', 'sum', {}, [tensor('x', [4, 6], 0), tensor('attention', [4, 6], 0)]),
      keras3(
        'MultiHeadAttention',
        'attention',
        {
          num_heads: 2,
          key_dim: 3,
          value_dim: 3,
          dropout: 0,
          use_bias: true,
          output_shape: null,
          attention_axes: [1],
          flash_attention: null,
          seed: null,
        },
        tensor('x', [4, 6], 0),
        tensor('x', [4, 6], 0),
      ),
      keras3('Dense', 'gate', { units: 6, activation: 'hard_sigmoid' }, tensor('sum', [4, 6], 0)),
    ],
    input_layers: ['x', 0, 0],
    output_layers: [['gate', 0, 0]],
  },
  registered_name: 'Functional',
}

describe('fromKeras', () => {
  it("reads Keras 2's sequential models", () => {
    const { network, weights } = fromKeras(keras2)
    expect(network.input).toEqual({ name: 'image', shape: [8, 8, 1] })
    expect(network.output).toEqual({ name: 'dense' })
    expect(network.layers.map(({ type }) => type)).toEqual([
      'conv2d',
      'batchNormalization',
      'activation',
      'globalAveragePooling2d',
      'dense',
    ])
    expect(network.layers[0]).toMatchObject({
      activation: { type: 'hardSigmoid', alpha: 0.2 },
      kernelInitializer: { type: 'heNormal' },
      kernelRegularizer: { l2: 0.001 },
      inputs: ['input'],
    })
    expect(network.layers[2]).toMatchObject({ activation: 'relu6' })
    expect(weights.size).toBe(0)
  })

  it("reads Keras 3's functional models, whatever the order of their layers", () => {
    const { network } = fromKeras(functional)
    expect(network.layers.map(({ name, inputs }) => [name, inputs])).toEqual([
      ['attention', ['input']],
      ['sum', ['input', 'attention']],
      ['gate', ['sum']],
    ])
    expect(network.layers[2]).toMatchObject({ activation: 'hardSigmoid' })
  })

  it("takes weights by Keras's names, in Keras's shapes", async () => {
    const named = (name: string, shape: number[], at: number) => ({
      name,
      shape,
      data: numbers(
        shape.reduce((a, b) => a * b),
        at,
      ),
    })
    const given = [
      ...['query', 'key', 'value'].flatMap((part, at) => [
        named(`attention/${part}/kernel:0`, [6, 2, 3], at),
        named(`attention/${part}/bias:0`, [2, 3], at + 5),
      ]),
      named('attention/attention_output/kernel:0', [2, 3, 6], 11),
      named('attention/attention_output/bias:0', [6], 12),
      named('gate/kernel', [6, 6], 13),
      named('gate/bias', [6], 14),
    ]
    const { network, weights } = fromKeras(functional, given)
    expect([...(weights.get('attention/key/kernel') ?? [])]).toEqual([...numbers(36, 1)])
    const { output } = await run(trainableOf(network), weights, { batch: 1, data: numbers(24, 3) })
    expect(output.every((value) => value >= 0 && value <= 1)).toBe(true)
    expect(thrown(() => fromKeras(functional, [...given.slice(1, -1), named('gate/bias', [7], 1)]))).toEqual({
      code: 'KERAS_WEIGHTS_INVALID',
      issues: ['attention/query/kernel: missing', 'gate/bias: [7], not [6]'],
    })
  })

  it('reads files of TensorFlow.js in parts and as scaled integers', () => {
    const model = {
      class_name: 'Sequential',
      config: { layers: [{ class_name: 'Dense', config: { name: 'd', units: 2, batch_input_shape: [null, 2] } }] },
    }
    const json = {
      modelTopology: { model_config: model },
      weightsManifest: [
        {
          paths: ['a.bin', 'b.bin'],
          weights: [
            {
              name: 'd/kernel',
              shape: [2, 2],
              dtype: 'float32',
              quantization: { dtype: 'uint8', scale: 0.5, min: -1 },
            },
            { name: 'd/bias', shape: [2], dtype: 'float32' },
          ],
        },
      ],
    }
    const bytes = Buffer.concat([Buffer.from([0, 1, 2, 4]), Buffer.from(Float32Array.of(3, -4).buffer)])
    const shards = new Map([
      ['a.bin', bytes.subarray(0, 6)],
      ['b.bin', bytes.subarray(6)],
    ])
    const { weights } = fromKeras(json, shards)
    expect([...(weights.get('d/kernel') ?? [])]).toEqual([-1, -0.5, 0, 1])
    expect([...(weights.get('d/bias') ?? [])]).toEqual([3, -4])
    expect(thrown(() => fromKeras(json, new Map([['a.bin', bytes.subarray(0, 6)]]))).issues).toEqual([
      'file b.bin is missing',
    ])
    expect(thrown(() => fromKeras(json, new Map([...shards, ['b.bin', bytes.subarray(8)]]))).issues).toEqual([
      'd/bias: ends at byte 12 of 10',
    ])
  })

  it("has Normalization's variance as a scale", () => {
    const model = {
      class_name: 'Sequential',
      config: {
        layers: [
          { class_name: 'Normalization', config: { name: 'n', axis: [-1], batch_input_shape: [null, 2] } },
          { class_name: 'Dense', config: { name: 'd', units: 1, use_bias: false } },
        ],
      },
    }
    const weights = fromKeras(model, [
      { name: 'n/mean', shape: [2], data: Float32Array.of(1, 2) },
      { name: 'n/variance', shape: [2], data: Float32Array.of(4, 0.25) },
      { name: 'd/kernel', shape: [2, 1], data: Float32Array.of(1, 1) },
    ]).weights
    expect(distance(weights.get('n/scale') ?? [], [0.5, 2])).toBeLessThan(1e-6)
  })

  it('takes the regularizers of biases and embeddings, and refuses those that nothing here applies', () => {
    const l2 = { class_name: 'L2', config: { l2: 0.125 } }
    const model = (embedding: object, cell: object) => ({
      class_name: 'Sequential',
      config: {
        layers: [
          {
            class_name: 'Embedding',
            config: { name: 'e', input_dim: 5, output_dim: 2, batch_input_shape: [null, 3], ...embedding },
          },
          { class_name: 'LSTM', config: { name: 'l', units: 2, ...cell } },
        ],
      },
    })
    const { layers } = fromKeras(model({ embeddings_regularizer: l2 }, { bias_regularizer: l2 })).network
    expect(layers).toMatchObject([
      { embeddingsRegularizer: { type: 'l1l2', l1: 0, l2: 0.125 } },
      { biasRegularizer: { type: 'l1l2', l1: 0, l2: 0.125 } },
    ])
    for (const [embedding, cell, name] of [
      [{ activity_regularizer: l2 }, {}, 'activityRegularizer'],
      [{}, { activity_regularizer: l2 }, 'activityRegularizer'],
      [{}, { bias_constraint: { class_name: 'MaxNorm', config: {} } }, 'biasConstraint'],
    ] as const) {
      const { code, issues } = thrown(() => fromKeras(model(embedding, cell)))
      expect([code, issues.join()]).toEqual(['KERAS_UNSUPPORTED', expect.stringContaining(name)])
    }
  })

  it('knows the version by what is written, for JSON of Keras 2 names where classes are registered, too', () => {
    const model = (version: object) => ({
      class_name: 'Sequential',
      ...version,
      config: {
        layers: [
          {
            class_name: 'Dense',
            registered_name: null,
            config: { name: 'd', units: 1, activation: 'hard_sigmoid', batch_input_shape: [null, 2] },
          },
        ],
      },
    })
    const slope = (version: object) => fromKeras(model(version)).network.layers[0]
    expect(slope({ keras_version: '2.15.0' })).toMatchObject({ activation: { type: 'hardSigmoid', alpha: 0.2 } })
    for (const version of [{ keras_version: '3.9.0' }, { keras_version: '10.0.0' }, {}])
      expect(slope(version)).toMatchObject({ activation: 'hardSigmoid' })
  })

  it('names everything that it cannot load', () => {
    const layer = (class_name: string, config: object) => ({
      class_name,
      config: { name: class_name.toLowerCase(), ...config },
    })
    const model = {
      class_name: 'Sequential',
      config: {
        layers: [
          layer('Conv2D', {
            batch_input_shape: [null, 8, 8, 1],
            filters: 2,
            kernel_size: 3,
            data_format: 'channels_first',
          }),
          layer('Lambda', {}),
          layer('ConvLSTM2D', {}),
          layer('LSTM', { units: 2, stateful: true }),
          layer('ReLU', { max_value: 3 }),
        ],
      },
    }
    expect(thrown(() => fromKeras(model))).toEqual({
      code: 'KERAS_UNSUPPORTED',
      issues: [
        'conv2d: dataFormat channels_first',
        'lambda: layer Lambda',
        'convlstm2d: layer ConvLSTM2D',
        'lstm: argument stateful = true',
        'relu: a ReLU with a threshold or a maximum other than 6',
      ],
    })
    expect(thrown(() => fromKeras({ class_name: 'Sequential' })).code).toBe('INPUT_REJECTED')
    expect(thrown(() => fromKeras(null)).code).toBe('INPUT_REJECTED')
    const shaped = {
      ...keras2,
      config: { layers: [{ class_name: 'Dense', config: { name: 'd', units: 2, batch_input_shape: [null, null] } }] },
    }
    expect(thrown(() => fromKeras(shaped)).issues).toEqual(['input: an input of shape [null,null]'])
  })
})
