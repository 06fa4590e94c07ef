import { type LayerConfig, layers, type NetworkConfig } from '@tideway/core'

/** ResNet-8 of MLPerf Tiny v1.0 (image classification): three stacks of two convolutions, shortcuts of 1x1. */
export function resnet8(): NetworkConfig {
  const conv = (name: string, filters: number, from: string, strides: number, kernelSize = 3): LayerConfig =>
    layers.conv2d({
      name,
      inputs: [from],
      filters,
      kernelSize,
      strides,
      padding: 'same',
      kernelInitializer: 'heNormal',
      kernelRegularizer: { type: 'l2', l2: 1e-4 },
    })
  const relu = (name: string, from: string): LayerConfig =>
    layers.activation({ name, inputs: [from], activation: 'relu' })
  const stack = (place: number, filters: number, from: string): LayerConfig[] => {
    const [at, strides] = [`stack${place}`, place === 1 ? 1 : 2]
    return [
      conv(`${at}_a`, filters, from, strides),
      layers.batchNormalization({ name: `${at}_a_bn` }),
      relu(`${at}_a_relu`, `${at}_a_bn`),
      conv(`${at}_b`, filters, `${at}_a_relu`, 1),
      layers.batchNormalization({ name: `${at}_b_bn` }),
      ...(place === 1 ? [] : [conv(`${at}_shortcut`, filters, from, 2, 1)]),
      layers.add({ name: `${at}_sum`, inputs: [`${at}_b_bn`, place === 1 ? from : `${at}_shortcut`] }),
      relu(`${at}_out`, `${at}_sum`),
    ]
  }
  return {
    input: { name: 'image', shape: [32, 32, 3] },
    output: { name: 'probabilities' },
    layers: [
      conv('stem', 16, 'input', 1),
      layers.batchNormalization({ name: 'stem_bn' }),
      relu('stem_out', 'stem_bn'),
      ...stack(1, 16, 'stem_out'),
      ...stack(2, 32, 'stack1_out'),
      ...stack(3, 64, 'stack2_out'),
      layers.averagePooling2d({ poolSize: 8 }),
      layers.flatten(),
      layers.dense({ units: 10, activation: 'softmax', kernelInitializer: 'heNormal' }),
    ],
  }
}

/** DS-CNN of MLPerf Tiny v1.0 (keyword spotting), after Zhang et al. 2017: four depthwise-separable blocks. */
export function dsCnn(): NetworkConfig {
  const normalized = [layers.batchNormalization(), layers.activation({ activation: 'relu' })]
  const block = [
    layers.depthwiseConv2d({ kernelSize: 3, padding: 'same' }),
    ...normalized,
    layers.conv2d({ filters: 64, kernelSize: 1, padding: 'same' }),
    ...normalized,
  ]
  return {
    input: { name: 'mfcc', shape: [49, 10, 1] },
    output: { name: 'probabilities' },
    layers: [
      layers.conv2d({ filters: 64, kernelSize: [10, 4], strides: 2, padding: 'same' }),
      ...normalized,
      layers.dropout({ rate: 0.2 }),
      ...block,
      ...block,
      ...block,
      ...block,
      layers.dropout({ rate: 0.4 }),
      layers.averagePooling2d({ poolSize: [24, 5] }),
      layers.flatten(),
      layers.dense({ units: 12, activation: 'softmax' }),
    ],
  }
}
