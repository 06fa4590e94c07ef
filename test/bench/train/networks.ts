import type { NetworkConfig, NetworkJob } from '@tideway/core'

/** A network that engines are compared on, and how much of it is trained: the first epoch is not timed. */
export interface BenchNetwork {
  readonly network: NetworkConfig
  readonly rows: number
  readonly epochs: number
  readonly classes: number
}

type Layers = NetworkConfig['layers']

const normalized = (name: string, relu = true): Layers => [
  { type: 'batchNormalization', name: `${name}_bn` },
  ...(relu ? [{ type: 'activation', activation: 'relu', name: `${name}_relu` } as const] : []),
]

const head = { type: 'dense', units: 10, activation: 'softmax', name: 'head' } as const
const named = (shape: readonly number[], layers: Layers): NetworkConfig => ({
  input: { name: 'x', shape: [...shape] },
  output: { name: 'y' },
  layers: [...layers],
})

/** Two convolutions of 16 and 32 filters, each with max pooling. */
const conv = named(
  [28, 28, 1],
  [
    { type: 'conv2d', filters: 16, kernelSize: 3, padding: 'same', activation: 'relu', name: 'conv_1' },
    { type: 'maxPooling2d' },
    { type: 'conv2d', filters: 32, kernelSize: 3, padding: 'same', activation: 'relu', name: 'conv_2' },
    { type: 'maxPooling2d' },
    { type: 'flatten' },
    head,
  ],
)

/** MLPerf Tiny's keyword spotting (Banbury et al. 2021, arXiv:2106.07597), without dropout: engines draw other numbers. */
const dsCnn = named(
  [49, 10, 1],
  [
    { type: 'conv2d', filters: 64, kernelSize: [10, 4], strides: 2, padding: 'same', name: 'stem' },
    ...normalized('stem'),
    ...[1, 2, 3, 4].flatMap(
      (at): Layers => [
        { type: 'depthwiseConv2d', kernelSize: 3, padding: 'same', name: `depthwise_${at}` },
        ...normalized(`depthwise_${at}`),
        { type: 'conv2d', filters: 64, kernelSize: 1, name: `pointwise_${at}` },
        ...normalized(`pointwise_${at}`),
      ],
    ),
    { type: 'globalAveragePooling2d' },
    { ...head, units: 12 },
  ],
)

/** A stack of ResNet-8: two convolutions, and what goes past them. */
function stack(at: number, filters: number, input: string): Layers {
  const [one, two, short] = [`stack_${at}_1`, `stack_${at}_2`, `short_${at}`]
  const strides = at === 1 ? 1 : 2
  const past: Layers =
    at === 1 ? [] : [{ type: 'conv2d', filters, kernelSize: 1, strides, padding: 'same', name: short, inputs: [input] }]
  return [
    { type: 'conv2d', filters, kernelSize: 3, strides, padding: 'same', name: one, inputs: [input] },
    ...normalized(one),
    { type: 'conv2d', filters, kernelSize: 3, padding: 'same', name: two },
    ...normalized(two, false),
    ...past,
    { type: 'add', inputs: [at === 1 ? input : short, `${two}_bn`], name: `sum_${at}` },
    { type: 'activation', activation: 'relu', name: `out_${at}` },
  ]
}

/** MLPerf Tiny's image classification, without weight regularization. */
const resNet8 = named(
  [32, 32, 3],
  [
    { type: 'conv2d', filters: 16, kernelSize: 3, padding: 'same', name: 'stem' },
    ...normalized('stem'),
    ...stack(1, 16, 'stem_relu'),
    ...stack(2, 32, 'out_1'),
    ...stack(3, 64, 'out_2'),
    { type: 'globalAveragePooling2d' },
    head,
  ],
)

const dense = named([784], [{ type: 'dense', units: 128, activation: 'relu', name: 'hidden' }, head])

export const networks: Readonly<Record<string, BenchNetwork>> = {
  dense: { network: dense, rows: 7_000, epochs: 10, classes: 10 },
  conv: { network: conv, rows: 4_096, epochs: 4, classes: 10 },
  'ds-cnn': { network: dsCnn, rows: 2_048, epochs: 3, classes: 12 },
  'resnet-8': { network: resNet8, rows: 1_024, epochs: 3, classes: 10 },
}

export const jobOf = ({ network, epochs }: BenchNetwork): NetworkJob => ({
  network,
  loss: 'softmaxCrossEntropy',
  optimizer: { type: 'adam', learningRate: 1e-3 },
  batchSize: 64,
  epochs,
  seed: 1,
})
