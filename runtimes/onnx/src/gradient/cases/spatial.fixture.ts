import type { GraphBuilder } from '../../build/graph-builder.js'
import { interpolated } from '../../build/interpolate.js'
import { floats, int64s, type Value } from '../../build/value.js'
import type { Attributes } from '../../format/node.js'
import type { Case } from '../gradient.fixture.js'
import { type Cases, positive } from './common.fixture.js'
import { convolve, type Sliding, standardise, unfold } from './reference.fixture.js'

/** Only the batch may be left open: the rules unfold the spatial axes while the graph is built. */
const open = (input: number, axis: number): boolean => input === 0 && axis === 0

const ones = (rank: number): number[] => Array.from({ length: rank }, () => 1)
const bigints = (values: readonly number[]): bigint[] => values.map(BigInt)

export interface Layer {
  readonly image: readonly number[]
  readonly weights: readonly number[]
  readonly strides?: readonly number[]
  readonly dilations?: readonly number[]
  readonly pads?: readonly number[]
  readonly group?: number
  readonly bias?: boolean
  readonly outputPadding?: readonly number[]
}

export const attributesOf = (layer: Layer): Attributes => ({
  ...(layer.strides && { strides: bigints(layer.strides) }),
  ...(layer.dilations && { dilations: bigints(layer.dilations) }),
  ...(layer.pads && { pads: bigints(layer.pads) }),
  ...(layer.group && { group: BigInt(layer.group) }),
  ...(layer.outputPadding && { output_padding: bigints(layer.outputPadding) }),
})

/** A Conv or ConvTranspose by its shapes, against itself in float64. */
export function layerCase(
  opType: 'Conv' | 'ConvTranspose',
  layer: Layer,
  more: Attributes = {},
  pads = layer.pads,
): Case {
  const transposed = opType === 'ConvTranspose'
  const { image, weights, group = 1 } = layer
  const [kernel, sizes] = [weights.slice(2), image.slice(2)]
  const [strides, dilations] = [layer.strides ?? ones(kernel.length), layer.dilations ?? ones(kernel.length)]
  const around = pads ?? kernel.flatMap(() => [0, 0])
  const out = sizes.map((size, a) => {
    const span = ((kernel[a] ?? 1) - 1) * (dilations[a] ?? 1) + 1 - (around[a] ?? 0) - (around[a + kernel.length] ?? 0)
    const stride = strides[a] ?? 1
    return transposed
      ? (size - 1) * stride + span + (layer.outputPadding?.[a] ?? 0)
      : Math.floor((size - span) / stride) + 1
  })
  const s: Sliding = { kernel, strides, dilations, begin: around.slice(0, kernel.length), image: sizes, out }
  const filters = transposed ? Number(weights[1]) * group : Number(weights[0])
  return {
    shapes: [image, weights, ...(layer.bias ? [[filters]] : [])],
    open,
    build: (g, inputs) => g.op(opType, inputs, { ...attributesOf(layer), ...more }),
    reference: (g, [x, w, bias]) =>
      convolve(g, [x, transposed ? asConv(g, w as Value, group) : w, bias] as Value[], s, group, transposed),
  }
}

/** ConvTranspose's weights [C, O / group, …] as [O, C / group, …]. */
function asConv(g: GraphBuilder, w: Value, group: number): Value {
  const [channels, each, ...kernel] = w.shape.map(Number) as [number, number, ...number[]]
  const split = g.op('Reshape', [w, g.constant(int64s([group, channels / group, each, ...kernel]))])
  const swapped = g.op('Transpose', [split], { perm: bigints([0, 2, 1, ...kernel.map((_, a) => a + 3)]) })
  return g.op('Reshape', [swapped, g.constant(int64s([group * each, channels / group, ...kernel]))])
}

const conv: Case[] = [
  { image: [2, 3, 5], weights: [4, 3, 3], bias: true },
  { image: [2, 2, 5, 4], weights: [3, 2, 3, 2], pads: [1, 0, 2, 1] },
  { image: [1, 2, 6, 5], weights: [3, 2, 3, 3], strides: [2, 2], pads: [1, 1, 1, 1], bias: true },
  { image: [2, 2, 7, 7], weights: [2, 2, 2, 3], strides: [3, 1], dilations: [2, 2] },
  { image: [2, 4, 4, 4], weights: [6, 2, 3, 3], group: 2, pads: [1, 1, 1, 1] },
  { image: [2, 3, 4, 3], weights: [3, 1, 3, 3], group: 3, pads: [1, 1, 1, 1], bias: true },
  { image: [1, 2, 5, 5], weights: [4, 1, 3, 3], group: 2, strides: [2, 2] },
  { image: [1, 2, 13, 12], weights: [2, 1, 2, 2], group: 2, pads: [0, 1, 1, 0] },
  { image: [2, 3, 3, 3], weights: [4, 3, 1, 1] },
  { image: [1, 3, 4, 4], weights: [2, 3, 1, 1], strides: [2, 2] },
  { image: [1, 11, 4, 4], weights: [2, 11, 3, 3], pads: [1, 1, 1, 1] },
  { image: [1, 2, 3, 4, 3], weights: [2, 2, 2, 2, 2], pads: [1, 0, 0, 0, 1, 0] },
  { image: [1, 1, 3, 3], weights: [1, 1, 2, 2], pads: [2, 2, 2, 2] },
].map((layer) => layerCase('Conv', layer))

const convTranspose: Case[] = [
  { image: [2, 3, 4], weights: [3, 2, 3], strides: [2], pads: [1, 0], bias: true },
  { image: [1, 2, 3, 3], weights: [2, 3, 3, 3], strides: [2, 2], pads: [1, 1, 1, 1], outputPadding: [1, 1] },
  { image: [2, 4, 3, 2], weights: [4, 1, 2, 2], group: 2, dilations: [2, 1] },
].map((layer) => layerCase('ConvTranspose', layer))

/** Far apart: no two of a window are as near as the differences that are taken. */
const spaced = (value: number): number => value * 50

const maxPool = (shape: readonly number[], attributes: Attributes): Case => ({
  shapes: [shape],
  open,
  domain: spaced,
  build: (g, [x]) => g.op('MaxPool', [x], attributes),
})

export function averageCase(
  shape: readonly number[],
  s: Omit<Sliding, 'image' | 'dilations'>,
  attributes: Attributes,
): Case {
  const sliding = { ...s, image: shape.slice(2), dilations: ones(shape.length - 2) }
  return {
    shapes: [shape],
    open,
    build: (g, [x]) =>
      g.op('AveragePool', [x], { kernel_shape: bigints(s.kernel), strides: bigints(s.strides), ...attributes }),
    reference: (g, [x]) => {
      const sum = (value: Value): Value => g.op('ReduceSum', [value, g.constant(int64s([2]))], { keepdims: 0n })
      const one = g.constant(
        floats('float64', Array<number>(sliding.image.reduce((a, b) => a * b, 1)).fill(1), [1, 1, ...sliding.image]),
      )
      const places = s.kernel.reduce((a, b) => a * b, 1)
      const count =
        attributes['count_include_pad'] === 1n ? g.constant(floats('float64', [places])) : sum(unfold(g, one, sliding))
      const mean = g.op('Div', [sum(unfold(g, x as Value, sliding)), count])
      return g.op('Reshape', [mean, g.constant(int64s([0, Number(shape[1]), ...s.out]))])
    },
  }
}

const batch = (shape: readonly number[], training: boolean, by?: number[]): Case => {
  const channels = [shape[1] ?? 1]
  return {
    shapes: [shape, channels, channels, channels, channels],
    open,
    by: by ?? (training ? [0, 1, 2] : [0, 1, 2, 3, 4]),
    domain: (value, input) => (input === 4 ? positive(value) : value * 2),
    build: (g, inputs) => {
      const attributes = { epsilon: 0.01, ...(training && { training_mode: 1n, momentum: 0.75 }) }
      return g.ops('BatchNormalization', inputs, attributes, { outputs: training ? 3 : 1 })[0] as Value
    },
  }
}

const alongChannels = (g: GraphBuilder, value: Value, rank: number): Value =>
  g.op('Reshape', [value, g.constant(int64s([1, -1, ...ones(rank - 2)]))])

const instance = (shape: readonly number[]): Case => ({
  shapes: [shape, [shape[1] ?? 1], [shape[1] ?? 1]],
  open,
  build: (g, inputs) => g.op('InstanceNormalization', inputs, { epsilon: 0.01 }),
  reference: (g, [x, scale, bias]) => {
    const unit = standardise(g, x as Value, shape.map((_, axis) => axis).slice(2), 0.01)
    const [by, more] = [scale, bias].map((value) => alongChannels(g, value as Value, shape.length))
    return g.op('Add', [g.op('Mul', [unit, by]), more])
  },
})

const layer = (shape: readonly number[], axis: number, bias: boolean): Case => ({
  shapes: [shape, shape.slice(axis), ...(bias ? [shape.slice(axis)] : [])],
  open,
  build: (g, inputs) => g.op('LayerNormalization', inputs, { axis: BigInt(axis), epsilon: 0.01 }),
  reference: (g, [x, scale, more]) => {
    const unit = standardise(g, x as Value, shape.map((_, at) => at).slice(axis), 0.01)
    const y = g.op('Mul', [unit, scale])
    return more === undefined ? y : g.op('Add', [y, more])
  },
})

export function resizeCase(
  shape: readonly number[],
  to: { sizes?: number[]; scales?: number[] },
  attributes: Attributes,
): Case {
  const inputs = (g: GraphBuilder, x: Value): (Value | undefined)[] => [
    x,
    undefined,
    to.scales && g.constant(floats('float32', to.scales, [to.scales.length])),
    to.sizes && g.constant(int64s(to.sizes)),
  ]
  return {
    shapes: [shape],
    open: (input, axis) => open(input, axis) && to.sizes === undefined,
    build: (g, [x]) => g.op('Resize', inputs(g, x as Value), attributes),
    // The matrices themselves are held against the engine's Resize in spatial.test.ts.
    reference: (g, [x]) => {
      const axes = interpolated(g.context('Resize', inputs(g, x as Value), attributes, 1)) ?? []
      return axes.reduce<Value>((value, along, axis) => {
        if (along === undefined) return value
        const rank = shape.length
        const matrix = g.constant(floats('float64', [...along.weights()], [along.length, along.from]))
        const perm = bigints(shape.map((_, at) => (at === axis ? rank - 1 : at === rank - 1 ? axis : at)))
        const last = g.op('Transpose', [value], { perm })
        return g.op('Transpose', [g.op('MatMul', [last, g.op('Transpose', [matrix], { perm: [1n, 0n] })])], { perm })
      }, x as Value)
    },
  }
}

const plain = (opType: string, shape: readonly number[], attributes: Attributes = {}): Case => ({
  shapes: [shape],
  open,
  build: (g, [x]) => g.op(opType, [x], attributes),
})

/** Operators on images. Where the engine has no float64 kernel, the same in operators that have one is the reference. */
export const spatialCases: Cases = {
  AveragePool: [
    averageCase([2, 2, 4, 4], { kernel: [2, 2], strides: [2, 2], begin: [0, 0], out: [2, 2] }, {}),
    averageCase(
      [1, 2, 5, 4],
      { kernel: [3, 2], strides: [2, 1], begin: [1, 1], out: [3, 5] },
      { pads: [1n, 1n, 1n, 1n] },
    ),
    averageCase(
      [1, 2, 5, 4],
      { kernel: [3, 2], strides: [2, 1], begin: [1, 1], out: [3, 5] },
      { pads: [1n, 1n, 1n, 1n], count_include_pad: 1n },
    ),
    averageCase([1, 2, 5], { kernel: [2], strides: [2], begin: [0], out: [3] }, { ceil_mode: 1n }),
  ],
  BatchNormalization: [
    batch([3, 2, 2, 2], true),
    batch([4, 3], true),
    batch([4, 3, 2], true, [1, 2]),
    batch([2, 3, 2, 2], false),
    batch([3, 2], false),
  ],
  Conv: [
    ...conv,
    layerCase(
      'Conv',
      { image: [1, 2, 5, 4], weights: [2, 2, 3, 2], strides: [2, 2] },
      { auto_pad: 'SAME_UPPER' },
      [1, 0, 1, 0],
    ),
    layerCase('Conv', { image: [1, 2, 4, 4], weights: [2, 2, 2, 2] }, { auto_pad: 'SAME_LOWER' }, [1, 1, 0, 0]),
  ],
  ConvTranspose: convTranspose,
  DepthToSpace: [
    plain('DepthToSpace', [2, 8, 2, 3], { blocksize: 2n, mode: 'DCR' }),
    plain('DepthToSpace', [1, 8, 2, 3], { blocksize: 2n, mode: 'CRD' }),
  ],
  GlobalAveragePool: [
    [2, 3, 2, 3],
    [2, 2, 4],
  ].map((shape) => ({
    ...plain('GlobalAveragePool', shape),
    reference: (g, [x]) =>
      g.op('ReduceMean', [x], { axes: shape.slice(2).map((_, axis) => BigInt(axis + 2)), keepdims: 1n }),
  })),
  GlobalMaxPool: [
    {
      ...plain('GlobalMaxPool', [2, 3, 2, 3]),
      domain: spaced,
      reference: (g, [x]) => g.op('ReduceMax', [x], { axes: [2n, 3n], keepdims: 1n }),
    },
  ],
  InstanceNormalization: [instance([2, 3, 4]), instance([2, 2, 3, 2])],
  LayerNormalization: [layer([2, 5], 1, true), layer([2, 3, 4], 1, true), layer([3, 2, 4], 2, false)],
  MaxPool: [
    maxPool([2, 2, 4, 4], { kernel_shape: [2n, 2n], strides: [2n, 2n] }),
    maxPool([1, 2, 6, 5], { kernel_shape: [3n, 3n], strides: [2n, 2n], pads: [1n, 1n, 1n, 1n] }),
    maxPool([1, 2, 5, 7], { kernel_shape: [2n, 3n], strides: [1n, 2n] }),
    maxPool([1, 2, 7], { kernel_shape: [2n], strides: [3n], ceil_mode: 1n }),
    maxPool([1, 1, 7, 7], { kernel_shape: [2n, 2n], strides: [2n, 2n], dilations: [2n, 3n], auto_pad: 'NOTSET' }),
    maxPool([1, 2, 5, 5], { kernel_shape: [3n, 3n], strides: [2n, 2n], auto_pad: 'SAME_UPPER' }),
  ],
  Resize: [
    resizeCase(
      [2, 2, 3, 2],
      { scales: [1, 1, 2, 2] },
      { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' },
    ),
    resizeCase([1, 2, 4, 3], { sizes: [1, 2, 7, 5] }, { mode: 'linear' }),
    resizeCase(
      [1, 2, 4, 3],
      { sizes: [1, 2, 2, 5] },
      { mode: 'linear', coordinate_transformation_mode: 'align_corners' },
    ),
    resizeCase([2, 3, 4], { scales: [1, 1, 1.5] }, { mode: 'nearest' }),
  ],
  SpaceToDepth: [plain('SpaceToDepth', [2, 2, 4, 6], { blocksize: 2n })],
}
