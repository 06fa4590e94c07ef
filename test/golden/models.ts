import { type LayerConfig, layers, type NetworkConfig, type Recipe, type Tensor, type Tensors } from '@tideway/core'
import { createQuantizer } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createOnnxTrainer } from '@tideway/trainer-onnx'
import { networks as benchNetworks } from '../bench/train/networks.js'
import { seeded } from '../support/backbone.js'

/** What an engine's answers are held against. */
export type Arithmetic = 'float' | 'half' | 'int8' | 'int4'

export interface GoldenModel {
  readonly name: keyof typeof GOLDEN
  readonly arithmetic: Arithmetic
  readonly onnx: Uint8Array
  readonly inputs: Tensors
  readonly outputName: string
  /** What it was made of, for engines with a format of their own; `quantized`: the file has been made smaller since. */
  readonly network: NetworkConfig
  readonly quantized: boolean
}

const INPUT = 'x'
const OUTPUT = 'y'
/** In one run. */
const ROWS = 4
/** That the model is trained and calibrated on. */
const TRAINING_ROWS = 32

interface Golden {
  readonly what: string
  readonly network: NetworkConfig
  readonly recipe?: Recipe
  readonly arithmetic?: Arithmetic
  /** A value of an input from a number from 0 to 1 and its column. */
  readonly value?: (random: number, column: number) => number
}

const network = (shape: readonly number[], ...all: LayerConfig[]): NetworkConfig => ({
  input: { name: INPUT, shape: [...shape] },
  output: { name: OUTPUT },
  layers: all,
})

/** A benchmark's network whose last layer gives numbers, not shares: softmax would make differences smaller. */
function linear(name: string): NetworkConfig {
  const found = benchNetworks[name]?.network
  if (found === undefined) throw new Error(`there is no network "${name}"`)
  const last = found.layers.length - 1
  return {
    ...found,
    layers: found.layers.map((layer, at) => (at === last ? { ...layer, activation: 'linear' } : layer) as LayerConfig),
  }
}

const lstm = network([12, 8], layers.lstm({ units: 24 }), layers.dense({ units: 4 }))
const table = network(
  [3],
  layers.columns({
    columns: {
      columns: {
        kind: { type: 'category', values: ['pump', 'fan', 'press'], unknown: 'other', impute: 'mostFrequent' },
        temperature: { type: 'number', impute: 'mean', scale: 'standard' },
        load: { type: 'number', impute: 'median', scale: 'minMax' },
      },
    },
  }),
  layers.dense({ units: 16, activation: 'relu' }),
  layers.dense({ units: 2 }),
)

/** A kind, a temperature in °C and a load, of which one in six is missing. */
const tableValue = (random: number, column: number): number => {
  if (random < 1 / 6) return Number.NaN
  return column === 0 ? Math.floor(random * 4) : 100 * random
}

/** The golden set: every model is made by our own trainer and quantizer, from seeds. */
export const GOLDEN = {
  dense: { what: '784-128-10', network: linear('dense') },
  conv: { what: '28×28, max pooling', network: linear('conv') },
  'ds-cnn': { what: 'MLPerf Tiny, depthwise', network: linear('ds-cnn') },
  'resnet-8': { what: 'MLPerf Tiny, 32×32×3', network: linear('resnet-8') },
  lstm: { what: '12 steps of 8, 24 units', network: lstm },
  attention: {
    what: '8 steps of 16, 2 heads',
    network: network(
      [8, 16],
      layers.multiHeadAttention({ numHeads: 2, keyDim: 8 }),
      layers.layerNormalization(),
      layers.globalAveragePooling1d(),
      layers.dense({ units: 4 }),
    ),
  },
  columns: { what: 'raw columns, missing values, categories', network: table, value: tableValue },
  'dense-fp16': { what: 'fp16', network: linear('dense'), recipe: { scheme: 'fp16' }, arithmetic: 'half' },
  'conv-fp16-weights': { what: 'fp16-weights', network: linear('conv'), recipe: { scheme: 'fp16-weights' } },
  'dense-int4': {
    what: 'int4-weights',
    network: linear('dense'),
    recipe: { scheme: 'int4-weights' },
    arithmetic: 'int4',
  },
  'dense-int8': {
    what: 'int8-static',
    network: linear('dense'),
    recipe: { scheme: 'int8-static' },
    arithmetic: 'int8',
  },
  'conv-int8': { what: 'int8-static', network: linear('conv'), recipe: { scheme: 'int8-static' }, arithmetic: 'int8' },
  'resnet-8-int8': {
    what: 'int8-static',
    network: linear('resnet-8'),
    recipe: { scheme: 'int8-static' },
    arithmetic: 'int8',
  },
  'lstm-int8': { what: 'int8-dynamic', network: lstm, recipe: { scheme: 'int8-dynamic' }, arithmetic: 'int8' },
} as const satisfies Readonly<Record<string, Golden>>

export const arithmeticOf = (name: keyof typeof GOLDEN): Arithmetic => (GOLDEN[name] as Golden).arithmetic ?? 'float'

/** Makes one of the set. */
export async function goldenModel(name: keyof typeof GOLDEN): Promise<GoldenModel> {
  const { network: config, recipe, value = (random) => random }: Golden = GOLDEN[name]
  const rows = (count: number, seed: number): Tensor => {
    const random = seeded(seed)
    const width = config.input.shape.reduce((product, size) => product * size, 1)
    const data = Float32Array.from({ length: count * width }, (_, at) => value(random(), at % width))
    return { dtype: 'float32', shape: [count, ...config.input.shape], data }
  }
  const inputs = rows(TRAINING_ROWS, 1)
  const units = (config.layers.at(-1) as { readonly units: number }).units
  const random = seeded(2)
  const targets: Tensor = {
    dtype: 'float32',
    shape: [TRAINING_ROWS, units],
    data: Float32Array.from({ length: TRAINING_ROWS * units }, () => 2 * random() - 1),
  }
  const { onnx } = await createOnnxTrainer({ threads: 1 }).fit(
    {
      network: config,
      loss: 'meanSquaredError',
      optimizer: { type: 'adam', learningRate: 1e-3 },
      batchSize: TRAINING_ROWS,
      epochs: 2,
      seed: 3,
    },
    { train: { inputs, targets } },
  )
  const made =
    recipe &&
    (await createQuantizer().quantize(onnx, { [INPUT]: inputs }, createOnnxNodeRuntime({ intraOpThreads: 1 }), recipe))
  return {
    name,
    arithmetic: arithmeticOf(name),
    onnx: made?.onnx ?? onnx,
    inputs: { [INPUT]: rows(ROWS, 4) },
    outputName: OUTPUT,
    network: config,
    quantized: recipe !== undefined,
  }
}
