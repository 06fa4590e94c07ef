import { z } from 'zod'

/** The most that one axis of a kernel, window or stride may have. */
const MAX_WINDOW = 1024

export const layerName = z.string().min(1).max(127)
export const units = z.int().positive().max(65_536)
export const size = z.int().positive().max(MAX_WINDOW)

const twice = <T>(value: T | [T, T]): [T, T] => (Array.isArray(value) ? value : [value, value])

/** One number for both axes (height and width), or one each. */
export const pair = z.union([size, z.tuple([size, size])]).transform((value): [number, number] => twice(value))
/** A size of a layer over one axis; Keras writes it as a number or as a list of one. */
export const single = z
  .union([size, z.tuple([size])])
  .transform((value) => (typeof value === 'number' ? value : value[0]))

const margin = z.int().nonnegative().max(MAX_WINDOW)

/** Keras's paddings: one number, [height, width], or [[top, bottom], [left, right]]; given out in the last form. */
export const margins = z
  .union([margin, z.tuple([margin, margin]), z.tuple([z.tuple([margin, margin]), z.tuple([margin, margin])])])
  .transform((value): [[number, number], [number, number]] => {
    const [height, width] = typeof value === 'number' ? [value, value] : value
    return [twice(height), twice(width)]
  })

export const padding = z.enum(['valid', 'same']).default('valid')
/** Rows are channels-last, as they are shipped; what the graph computes in is its own affair. */
export const dataFormat = z.literal('channelsLast').default('channelsLast')

/** Keras's activations by name (https://keras.io/api/layers/activations/). */
export const activationNames = [
  'linear',
  'relu',
  'relu6',
  'leakyRelu',
  'elu',
  'selu',
  'sigmoid',
  'hardSigmoid',
  'swish',
  'silu',
  'hardSwish',
  'gelu',
  'tanh',
  'softplus',
  'softsign',
  'softmax',
] as const

/** `alpha`: the slope of leakyRelu (0.2) below 0 and of hardSigmoid (1/6) at 0, the scale of elu (1). */
const sloped = z.strictObject({ type: z.enum(['leakyRelu', 'elu', 'hardSigmoid']), alpha: z.number().positive() })
export const activation = z.union([z.enum(activationNames), sloped])

/** Those that ONNX has inside of an lstm or gru. */
export const cellActivation = z.union([
  z.enum(['linear', 'relu', 'leakyRelu', 'elu', 'sigmoid', 'hardSigmoid', 'tanh', 'softplus', 'softsign']),
  sloped,
])

const seedless = z.enum([
  'glorotUniform',
  'glorotNormal',
  'heUniform',
  'heNormal',
  'lecunUniform',
  'lecunNormal',
  'zeros',
  'ones',
])

const configured = z.discriminatedUnion('type', [
  z.strictObject({ type: seedless }),
  z.strictObject({ type: z.literal('constant'), value: z.number().default(0) }),
  z.strictObject({
    type: z.enum(['randomNormal', 'truncatedNormal']),
    mean: z.number().default(0),
    stddev: z.number().nonnegative().default(0.05),
  }),
  z.strictObject({
    type: z.literal('randomUniform'),
    minval: z.number().default(-0.05),
    maxval: z.number().default(0.05),
  }),
  z.strictObject({ type: z.enum(['orthogonal', 'identity']), gain: z.number().default(1) }),
  z.strictObject({
    type: z.literal('varianceScaling'),
    scale: z.number().positive().default(1),
    mode: z.enum(['fanIn', 'fanOut', 'fanAvg']).default('fanIn'),
    distribution: z.enum(['uniform', 'truncatedNormal', 'untruncatedNormal']).default('truncatedNormal'),
  }),
])

const named = z.enum([
  ...seedless.options,
  'constant',
  'randomNormal',
  'truncatedNormal',
  'randomUniform',
  'orthogonal',
  'identity',
  'varianceScaling',
])

/** Keras's initialisers, by name or with arguments (https://keras.io/api/layers/initializers/). */
export const initializer = z.union([named.transform((type) => configured.parse({ type })), configured])
export type Initializer = z.output<typeof initializer>

/** An initialiser's resolved form, for a layer's default. */
export const initializedBy = (type: z.input<typeof named>) => initializer.default(() => configured.parse({ type }))

const strength = z.number().nonnegative()

/** Penalties added to the loss: l1 Σ|w| + l2 Σw². By name with Keras's 0.01, or with numbers. */
export const regularizer = z
  .union([
    z.enum(['l1', 'l2', 'l1l2']),
    z.strictObject({ type: z.literal('l1'), l1: strength.default(0.01) }),
    z.strictObject({ type: z.literal('l2'), l2: strength.default(0.01) }),
    z.strictObject({ type: z.literal('l1l2'), l1: strength.default(0), l2: strength.default(0) }),
  ])
  .transform((value): Regularizer => {
    if (value === 'l1l2') return { type: 'l1l2', l1: 0.01, l2: 0.01 }
    const given: { l1?: number; l2?: number } = typeof value === 'string' ? { [value]: 0.01 } : value
    return { type: 'l1l2', l1: given.l1 ?? 0, l2: given.l2 ?? 0 }
  })
export interface Regularizer {
  type: 'l1l2'
  l1: number
  l2: number
}
