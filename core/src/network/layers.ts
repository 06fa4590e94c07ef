import { z } from 'zod'
import { columnsSchema } from '../pipeline/columns.js'
import {
  activation,
  cellActivation,
  dataFormat,
  initializedBy,
  layerName,
  margins,
  padding,
  pair,
  regularizer,
  single,
  size,
  units,
} from './arguments.js'

const activated = { activation: activation.default('linear') }
const biased = {
  useBias: z.boolean().default(true),
  biasInitializer: initializedBy('zeros'),
  biasRegularizer: regularizer.optional(),
}
const kernel = { kernelInitializer: initializedBy('glorotUniform'), kernelRegularizer: regularizer.optional() }
const rate = z.number().min(0).lt(1)

/** A layer of one kind with its own arguments, and those that all have. */
const layer = <Type extends string, Shape extends z.core.$ZodLooseShape>(type: Type, shape: Shape) =>
  z.strictObject({
    type: z.literal(type),
    /** Made from the type and the place when left out. */
    name: layerName.optional(),
    /** Names of layers before this one, or `input`; the layer before when left out. */
    inputs: z.array(layerName).min(1).max(64).optional(),
    ...shape,
  })

const window2d = { strides: pair.default([1, 1]), padding, dataFormat }

const core = [
  layer('dense', { units, ...activated, ...biased, ...kernel }),
  layer('activation', { activation }),
  layer('dropout', { rate }),
  layer('embedding', {
    inputDim: z.int().positive().max(100_000_000),
    outputDim: units,
    embeddingsInitializer: initializedBy('randomUniform'),
    embeddingsRegularizer: regularizer.optional(),
  }),
] as const

const convolutions = [
  layer('conv1d', {
    filters: units,
    kernelSize: single,
    strides: single.default(1),
    padding: z.enum(['valid', 'same', 'causal']).default('valid'),
    dataFormat,
    dilationRate: single.default(1),
    groups: units.default(1),
    ...activated,
    ...biased,
    ...kernel,
  }),
  layer('conv2d', {
    filters: units,
    kernelSize: pair,
    ...window2d,
    dilationRate: pair.default([1, 1]),
    groups: units.default(1),
    ...activated,
    ...biased,
    ...kernel,
  }),
  layer('depthwiseConv2d', {
    kernelSize: pair,
    ...window2d,
    depthMultiplier: size.default(1),
    dilationRate: pair.default([1, 1]),
    ...activated,
    ...biased,
    depthwiseInitializer: initializedBy('glorotUniform'),
    depthwiseRegularizer: regularizer.optional(),
  }),
  layer('separableConv2d', {
    filters: units,
    kernelSize: pair,
    ...window2d,
    depthMultiplier: size.default(1),
    dilationRate: pair.default([1, 1]),
    ...activated,
    ...biased,
    depthwiseInitializer: initializedBy('glorotUniform'),
    pointwiseInitializer: initializedBy('glorotUniform'),
    depthwiseRegularizer: regularizer.optional(),
    pointwiseRegularizer: regularizer.optional(),
  }),
  layer('conv2dTranspose', { filters: units, kernelSize: pair, ...window2d, ...activated, ...biased, ...kernel }),
] as const

/** Strides are the window's size when left out, as in Keras. */
const pool1d = { poolSize: single.default(2), strides: single.optional(), padding, dataFormat }
const pool2d = { poolSize: pair.default([2, 2]), strides: pair.optional(), padding, dataFormat }
const pooled = { dataFormat, keepdims: z.boolean().default(false) }

const pools = [
  layer('maxPooling1d', pool1d),
  layer('maxPooling2d', pool2d),
  layer('averagePooling1d', pool1d),
  layer('averagePooling2d', pool2d),
  layer('globalAveragePooling1d', pooled),
  layer('globalAveragePooling2d', pooled),
  layer('globalMaxPooling1d', pooled),
  layer('globalMaxPooling2d', pooled),
] as const

const layouts = [
  layer('flatten', { dataFormat }),
  layer('reshape', {
    targetShape: z
      .array(z.union([z.literal(-1), z.int().positive()]))
      .min(1)
      .max(8),
  }),
  /** `dims` counts from 1: 0 would be the batch. */
  layer('permute', { dims: z.array(z.int().positive()).min(1).max(8) }),
  layer('zeroPadding2d', {
    padding: margins.default([
      [1, 1],
      [1, 1],
    ]),
    dataFormat,
  }),
  layer('cropping2d', {
    cropping: margins.default([
      [0, 0],
      [0, 0],
    ]),
    dataFormat,
  }),
  layer('upSampling2d', {
    size: pair.default([2, 2]),
    interpolation: z.enum(['nearest', 'bilinear']).default('nearest'),
    dataFormat,
  }),
] as const

const affine = { center: z.boolean().default(true), scale: z.boolean().default(true) }
const scaled = { betaInitializer: initializedBy('zeros'), gammaInitializer: initializedBy('ones') }

const normalizations = [
  layer('batchNormalization', {
    momentum: z.number().min(0).max(1).default(0.99),
    epsilon: z.number().positive().default(1e-3),
    ...affine,
    ...scaled,
    movingMeanInitializer: initializedBy('zeros'),
    movingVarianceInitializer: initializedBy('ones'),
  }),
  layer('layerNormalization', { epsilon: z.number().positive().default(1e-3), ...affine, ...scaled }),
  /** (x - mean) / sqrt(variance) per feature of the last axis, fitted on the training rows and frozen. */
  layer('normalization', {}),
  /** x * scale + offset. */
  layer('rescaling', { scale: z.number(), offset: z.number().default(0) }),
  /** Raw columns of a table to numbers: imputed, scaled, one-hot; fitted on the training rows and frozen. */
  layer('columns', { columns: columnsSchema }),
] as const

const gated = {
  units,
  activation: cellActivation.default('tanh'),
  recurrentActivation: cellActivation.default('sigmoid'),
  ...biased,
  ...kernel,
  recurrentInitializer: initializedBy('orthogonal'),
  recurrentRegularizer: regularizer.optional(),
  returnSequences: z.boolean().default(false),
  goBackwards: z.boolean().default(false),
  /** Share of the inputs set to 0 while training, the same ones in every step of a row. */
  dropout: rate.default(0),
}
const lstm = layer('lstm', { ...gated, unitForgetBias: z.boolean().default(true) })
const gru = layer('gru', { ...gated, resetAfter: z.boolean().default(true) })

const sequences = [
  lstm,
  gru,
  layer('bidirectional', {
    layer: z.discriminatedUnion('type', [
      lstm.omit({ name: true, inputs: true }),
      gru.omit({ name: true, inputs: true }),
    ]),
    mergeMode: z.enum(['concat', 'sum', 'mul', 'ave']).default('concat'),
  }),
  /** Inputs: query, value and key; the value is the query and the key the value where left out. */
  layer('multiHeadAttention', {
    numHeads: size,
    keyDim: units,
    valueDim: units.optional(),
    dropout: rate.default(0),
    ...biased,
    ...kernel,
  }),
] as const

const merges = [
  layer('add', {}),
  layer('subtract', {}),
  layer('multiply', {}),
  layer('average', {}),
  layer('maximum', {}),
  layer('minimum', {}),
  /** `axis` counts the batch as 0, as in Keras. */
  layer('concatenate', { axis: z.int().min(-8).max(8).default(-1) }),
] as const

/** Keras's layers with Keras's arguments and defaults (https://keras.io/api/layers/), in camelCase. */
export const layerSchema = z.discriminatedUnion('type', [
  ...core,
  ...convolutions,
  ...pools,
  ...layouts,
  ...normalizations,
  ...sequences,
  ...merges,
])
