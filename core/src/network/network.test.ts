import { describe, expect, it } from 'vitest'
import { codeOf, TidewayError } from '../errors/error.js'
import { defineNetwork, layers, layerTypes } from './builder.js'
import { planNetwork } from './resolve.js'
import type { LayerConfig, NetworkConfig } from './schema.js'
import { networkLimits, networkSchema } from './schema.js'

const network = (shape: readonly number[], ...all: readonly LayerConfig[]): NetworkConfig => ({
  input: { name: 'x', shape },
  output: { name: 'y' },
  layers: all,
})

/** The shapes behind all layers. */
const shapes = (config: NetworkConfig) => planNetwork(config).layers.map(({ shape }) => shape)

function issuesFrom(config: unknown): readonly string[] {
  try {
    defineNetwork(config as NetworkConfig)
  } catch (error) {
    if (error instanceof TidewayError && error.code === 'INPUT_REJECTED') return error.data['issues'] as string[]
    throw error
  }
  return []
}

describe('layers', () => {
  it('are plain JSON of the schema', () => {
    const layer = layers.conv2d({ filters: 16, kernelSize: 3, activation: 'relu' })
    expect(layer).toEqual({ type: 'conv2d', filters: 16, kernelSize: 3, activation: 'relu' })
    expect(JSON.parse(JSON.stringify(layer))).toEqual(layer)
  })

  it('have a function for each type', () => {
    expect(layerTypes.length).toBeGreaterThan(35)
    expect(layers.flatten()).toEqual({ type: 'flatten' })
    expect(layerTypes).toContain('multiHeadAttention')
  })
})

describe('planNetwork', () => {
  it("gives Keras's defaults, names by place and the layer before as input", () => {
    const [first, second] = planNetwork(
      network([8, 8, 3], layers.conv2d({ filters: 4, kernelSize: 3 }), layers.flatten({ name: 'flat' })),
    ).layers
    expect(first?.layer).toMatchObject({
      name: 'conv2d_1',
      inputs: ['input'],
      kernelSize: [3, 3],
      strides: [1, 1],
      padding: 'valid',
      activation: 'linear',
      useBias: true,
      kernelInitializer: { type: 'glorotUniform' },
    })
    expect(second?.layer).toMatchObject({ name: 'flat', inputs: ['conv2d_1'] })
  })

  it('takes its own result as a config again', () => {
    const config = network([8, 8, 3], layers.conv2d({ filters: 4, kernelSize: 3, kernelRegularizer: 'l2' }))
    const once = networkSchema.parse(config)
    expect(networkSchema.parse(once)).toEqual(once)
  })

  // The sizes of Keras's documentation and of its models' summaries.
  it.each<[string, readonly number[], LayerConfig, readonly number[], number]>([
    ['dense over steps', [10, 8], layers.dense({ units: 3 }), [10, 3], 27],
    ['conv2d', [28, 28, 3], layers.conv2d({ filters: 2, kernelSize: 3 }), [26, 26, 2], 56],
    [
      'conv2d, same',
      [28, 27, 3],
      layers.conv2d({ filters: 2, kernelSize: 3, strides: 2, padding: 'same' }),
      [14, 14, 2],
      56,
    ],
    ['conv2d in groups', [10, 10, 4], layers.conv2d({ filters: 6, kernelSize: 3, groups: 2 }), [8, 8, 6], 114],
    ['depthwise', [10, 10, 4], layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2 }), [8, 8, 8], 80],
    ['separable', [10, 10, 4], layers.separableConv2d({ filters: 5, kernelSize: 3 }), [8, 8, 5], 61],
    ['transposed', [5, 5, 2], layers.conv2dTranspose({ filters: 3, kernelSize: 3, strides: 2 }), [11, 11, 3], 57],
    [
      'transposed, same',
      [5, 5, 2],
      layers.conv2dTranspose({ filters: 3, kernelSize: 3, strides: 2, padding: 'same' }),
      [10, 10, 3],
      57,
    ],
    ['pooled', [5, 5, 2], layers.maxPooling2d(), [2, 2, 2], 0],
    ['pooled, same', [5, 5, 2], layers.averagePooling2d({ poolSize: 2, padding: 'same' }), [3, 3, 2], 0],
    ['global', [5, 5, 2], layers.globalMaxPooling2d({ keepdims: true }), [1, 1, 2], 0],
    ['lstm', [7, 4], layers.lstm({ units: 5 }), [5], 200],
    ['gru', [7, 4], layers.gru({ units: 5, returnSequences: true }), [7, 5], 165],
    ['gru, reset before', [7, 4], layers.gru({ units: 5, resetAfter: false }), [5], 150],
    ['bidirectional', [7, 4], layers.bidirectional({ layer: { type: 'lstm', units: 5 } }), [10], 400],
    ['attention', [7, 16], layers.multiHeadAttention({ numHeads: 2, keyDim: 8 }), [7, 16], 1088],
    ['embedding', [7], layers.embedding({ inputDim: 100, outputDim: 4 }), [7, 4], 400],
    ['batch normalization', [7, 4], layers.batchNormalization(), [7, 4], 8],
    ['reshape', [12], layers.reshape({ targetShape: [3, -1] }), [3, 4], 0],
    ['permute', [2, 3], layers.permute({ dims: [2, 1] }), [3, 2], 0],
    [
      'padded',
      [3, 3, 1],
      layers.zeroPadding2d({
        padding: [
          [1, 0],
          [2, 3],
        ],
      }),
      [4, 8, 1],
      0,
    ],
    ['cropped', [5, 5, 1], layers.cropping2d({ cropping: 1 }), [3, 3, 1], 0],
    ['upsampled', [2, 3, 1], layers.upSampling2d(), [4, 6, 1], 0],
  ])('infers shape and parameters: %s', (_, input, layer, shape, parameters) => {
    const plan = planNetwork(network(input, layer))
    expect(plan.output.shape).toEqual(shape)
    expect(plan.parameters).toBe(parameters)
  })

  it('follows branches', () => {
    const residual = network(
      [8, 8, 4],
      layers.conv2d({ filters: 4, kernelSize: 3, padding: 'same', name: 'a' }),
      layers.add({ inputs: ['a', 'input'] }),
      layers.concatenate({ inputs: ['a', 'add_2'] }),
      layers.multiply({ inputs: ['concatenate_3', 'squeeze'] }),
    )
    expect(issuesFrom(residual)).toEqual(['layers.3.inputs.1: no layer "squeeze" before this one'])
    expect(shapes({ ...residual, layers: residual.layers.slice(0, 3) })).toEqual([
      [8, 8, 4],
      [8, 8, 4],
      [8, 8, 8],
    ])
  })

  it('names each bad field, what it got and what it needs', () => {
    expect(
      issuesFrom(
        network(
          [8, 8, 3],
          layers.conv2d({ filters: 4, kernelSize: 9, name: 'wide' }),
          layers.lstm({ units: 3, inputs: ['input'], name: 'steps' }),
          layers.reshape({ targetShape: [7], inputs: ['input'], name: 'shape' }),
          layers.add({ inputs: ['input'], name: 'sum' }),
          layers.normalization({ name: 'shape' }),
        ),
      ),
    ).toEqual([
      "layers.0 (wide): conv2d got [8, 8, 3], needs at least its window's size in each axis (or padding 'same')",
      'layers.1 (steps): lstm got [8, 8, 3], needs rows [steps, features]',
      'layers.2 (shape): reshape got [8, 8, 3], needs 7 numbers a row',
      'layers.3 (sum): add got [8, 8, 3], needs at least two inputs',
      'layers.4.name: "shape" is taken',
      'layers.4 (shape): only rescaling may come before a normalization; behind other layers it has no fixed statistics',
      'layers.0: "wide" is not used',
      'layers.1: "steps" is not used',
    ])
    expect(
      issuesFrom({
        input: { name: 'x', shape: [0] },
        output: { name: 'y' },
        layers: [{ type: 'dense', units: 0, size: 1 }],
      }).map((issue) => issue.split(':')[0]),
    ).toEqual(['input.shape.0', 'layers.0.units', 'layers.0'])
  })

  it('refuses what would fill the memory, before anything is built', () => {
    const dense = layers.dense({ units: 65_536 })
    const codes = [
      network([65_536], dense),
      network([2000, 1000], dense),
      network([2 ** 20, 64, 2], layers.dense({ units: 1 })),
    ].map((config) => {
      try {
        defineNetwork(config)
      } catch (error) {
        return codeOf(error)
      }
      return undefined
    })
    expect(codes).toEqual(['NETWORK_TOO_LARGE', 'NETWORK_TOO_LARGE', 'NETWORK_TOO_LARGE'])
    expect(
      issuesFrom(network([1], ...Array.from({ length: networkLimits.layers + 1 }, () => layers.flatten()))),
    ).toHaveLength(1)
  })
})
