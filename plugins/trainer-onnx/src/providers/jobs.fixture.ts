import type { LayerConfig, NetworkJob, TrainData } from '@tideway/core'

const CLASSES = 3
const head: LayerConfig = { type: 'dense', units: CLASSES, activation: 'softmax' }

/** Small networks with what WebGPU has no kernel for as ONNX writes it: pooling, depthwise convolution, the loss, accuracy. */
export const networks = {
  dense: { shape: [6], layers: [{ type: 'dense', units: 16, activation: 'tanh' }, head] },
  convolutional: {
    shape: [8, 8, 2],
    layers: [
      { type: 'conv2d', filters: 4, kernelSize: 3, padding: 'same' },
      { type: 'batchNormalization' },
      { type: 'activation', activation: 'relu' },
      { type: 'maxPooling2d' },
      { type: 'depthwiseConv2d', kernelSize: 3, padding: 'same' },
      { type: 'flatten' },
      { type: 'dropout', rate: 0.25 },
      head,
    ],
  },
  multiplied: {
    shape: [8, 8, 2],
    layers: [
      { type: 'conv2d', filters: 2, kernelSize: 3 },
      { type: 'depthwiseConv2d', kernelSize: 3, strides: 2, depthMultiplier: 2 },
      { type: 'flatten' },
      head,
    ],
  },
  recurrent: { shape: [6, 4], layers: [{ type: 'lstm', units: 4 }, head] },
} as const satisfies Record<string, { readonly shape: readonly number[]; readonly layers: readonly LayerConfig[] }>

/** 40 rows in batches of 8: 5 steps an epoch. */
export const ROWS = 40

export function jobOf(name: keyof typeof networks, optimizer: NetworkJob['optimizer'], epochs = 4): NetworkJob {
  const { shape, layers } = networks[name]
  return {
    network: { input: { name: 'x', shape: [...shape] }, output: { name: 'p' }, layers: [...layers] },
    loss: 'softmaxCrossEntropy',
    optimizer,
    batchSize: 8,
    epochs,
    seed: 5,
  }
}

/** Waves whose height says their class, with some of another kind over them. */
export function wavesFor(name: keyof typeof networks, rows = ROWS): TrainData {
  const { shape } = networks[name]
  const width = shape.reduce((product: number, size) => product * size, 1)
  const targets = Int32Array.from({ length: rows }, (_, row) => row % CLASSES)
  const inputs = Float32Array.from({ length: rows * width }, (_, at) => {
    const label = targets[Math.floor(at / width)] ?? 0
    return Math.sin(at * at * 0.7) + (at % CLASSES === label ? 1 : 0)
  })
  return {
    inputs: { dtype: 'float32', shape: [rows, ...shape], data: inputs },
    targets: { dtype: 'int32', shape: [rows], data: targets },
  }
}
