import { type Activation, type LayerConfig, layers, type NetworkConfig } from '@tideway/core'

const network = (shape: readonly number[], ...all: readonly LayerConfig[]): NetworkConfig => ({
  input: { name: 'x', shape },
  output: { name: 'y' },
  layers: [...all, ...(all.at(-1)?.type === 'dense' ? [] : [layers.flatten(), layers.dense({ units: 3 })])],
})

const ACTIVATIONS: readonly Activation[] = [
  'relu',
  'relu6',
  'leakyRelu',
  'elu',
  'selu',
  'sigmoid',
  'hardSigmoid',
  'swish',
  'hardSwish',
  'gelu',
  'tanh',
  'softplus',
  'softsign',
  'softmax',
]

/** Two dense layers behind the input, for a layer that takes both. */
const merged = (merge: LayerConfig): NetworkConfig =>
  network(
    [4],
    layers.dense({ name: 'left', units: 3, activation: 'tanh' }),
    layers.dense({ name: 'right', inputs: ['input'], units: 3, activation: 'sigmoid' }),
    { ...merge, inputs: ['left', 'right'] },
  )

const conv = layers.conv2d({ filters: 3, kernelSize: 2, padding: 'same' })

/** Each type of layer, in the shapes that its operators differ in. */
export const NETWORKS: Readonly<Record<LayerConfig['type'], readonly NetworkConfig[]>> = {
  dense: [network([5], layers.dense({ units: 4, activation: 'gelu' })), network([3, 5], layers.dense({ units: 4 }))],
  activation: ACTIVATIONS.map((activation) =>
    network([5], layers.dense({ units: 4 }), layers.activation({ activation }), layers.dense({ units: 2 })),
  ),
  dropout: [network([6], layers.dense({ units: 8 }), layers.dropout({ rate: 0.4 }))],
  embedding: [network([4], layers.embedding({ inputDim: 5, outputDim: 3 }))],
  conv1d: [
    network([9, 2], layers.conv1d({ filters: 3, kernelSize: 3, padding: 'causal', activation: 'relu' })),
    network([9, 4], layers.conv1d({ filters: 4, kernelSize: 3, groups: 2, dilationRate: 2 })),
  ],
  conv2d: [
    network([7, 6, 2], layers.conv2d({ filters: 3, kernelSize: 3, padding: 'same', activation: 'relu' })),
    network([8, 7, 2], layers.conv2d({ filters: 3, kernelSize: [3, 2], strides: 2 })),
    network([8, 8, 4], layers.conv2d({ filters: 4, kernelSize: 3, groups: 2, dilationRate: 2 })),
  ],
  depthwiseConv2d: [
    network([7, 7, 2], layers.depthwiseConv2d({ kernelSize: 3, padding: 'same', depthMultiplier: 2 })),
    network([8, 8, 3], layers.depthwiseConv2d({ kernelSize: 3, strides: 2 })),
  ],
  separableConv2d: [network([7, 7, 2], layers.separableConv2d({ filters: 3, kernelSize: 3, padding: 'same' }))],
  conv2dTranspose: [
    network([3, 4, 2], layers.conv2dTranspose({ filters: 3, kernelSize: 3, strides: 2, padding: 'same' })),
    network([3, 3, 2], layers.conv2dTranspose({ filters: 2, kernelSize: 2, strides: 3 })),
  ],
  maxPooling1d: [network([8, 2], layers.conv1d({ filters: 3, kernelSize: 1 }), layers.maxPooling1d())],
  maxPooling2d: [
    network([6, 6, 1], conv, layers.maxPooling2d()),
    network([7, 7, 1], conv, layers.maxPooling2d({ poolSize: 3, strides: 2, padding: 'same' })),
  ],
  averagePooling1d: [network([7, 2], layers.conv1d({ filters: 3, kernelSize: 1 }), layers.averagePooling1d())],
  averagePooling2d: [
    network([6, 6, 1], conv, layers.averagePooling2d()),
    network([7, 7, 1], conv, layers.averagePooling2d({ poolSize: 3, strides: 2, padding: 'same' })),
  ],
  globalAveragePooling1d: [network([5, 3], layers.dense({ units: 4 }), layers.globalAveragePooling1d())],
  globalAveragePooling2d: [network([5, 5, 2], conv, layers.globalAveragePooling2d())],
  globalMaxPooling1d: [network([5, 3], layers.dense({ units: 4 }), layers.globalMaxPooling1d())],
  globalMaxPooling2d: [network([5, 5, 2], conv, layers.globalMaxPooling2d())],
  flatten: [network([4, 4, 2], conv, layers.flatten())],
  reshape: [network([12], layers.dense({ units: 12 }), layers.reshape({ targetShape: [3, -1] }))],
  permute: [network([3, 4], layers.dense({ units: 4 }), layers.permute({ dims: [2, 1] }))],
  zeroPadding2d: [network([4, 4, 2], conv, layers.zeroPadding2d())],
  cropping2d: [
    network(
      [5, 5, 2],
      conv,
      layers.cropping2d({
        cropping: [
          [1, 0],
          [0, 2],
        ],
      }),
    ),
  ],
  upSampling2d: [
    network([3, 3, 2], conv, layers.upSampling2d()),
    network([3, 3, 2], conv, layers.upSampling2d({ interpolation: 'bilinear' })),
  ],
  batchNormalization: [
    network([5], layers.dense({ units: 4 }), layers.batchNormalization()),
    network([5, 5, 2], conv, layers.batchNormalization()),
  ],
  layerNormalization: [network([5], layers.dense({ units: 4 }), layers.layerNormalization())],
  normalization: [network([5], layers.normalization())],
  rescaling: [network([5], layers.rescaling({ scale: 0.5, offset: -1 }))],
  columns: [
    network(
      [2],
      layers.columns({
        columns: {
          columns: {
            warmth: { type: 'number', impute: 'mean', scale: 'standard' },
            kind: { type: 'category', values: ['pump', 'fan'], unknown: 'other' },
          },
        },
      }),
    ),
  ],
  lstm: [
    network([4, 3], layers.lstm({ units: 3, returnSequences: true })),
    network([4, 3], layers.lstm({ units: 3, recurrentActivation: 'hardSigmoid', goBackwards: true })),
  ],
  gru: [
    network([4, 3], layers.gru({ units: 3, returnSequences: true })),
    network([4, 3], layers.gru({ units: 3, resetAfter: false, dropout: 0.2 })),
  ],
  bidirectional: [network([4, 3], layers.bidirectional({ layer: { type: 'lstm', units: 2 } }))],
  multiHeadAttention: [network([4, 3], layers.multiHeadAttention({ numHeads: 2, keyDim: 2 }))],
  add: [merged(layers.add())],
  subtract: [merged(layers.subtract())],
  multiply: [merged(layers.multiply())],
  average: [merged(layers.average())],
  maximum: [merged(layers.maximum())],
  minimum: [merged(layers.minimum())],
  concatenate: [merged(layers.concatenate())],
}
