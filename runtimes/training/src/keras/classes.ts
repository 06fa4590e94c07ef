import { argumentsFrom, fields, Unsupported } from './arguments.js'

type Fields = Readonly<Record<string, unknown>>
/** A layer as the schema takes it, not yet checked by it. */
export type Draft = Record<string, unknown> & { type: string }

interface Source {
  readonly config: Fields
  readonly keras3: boolean
}
type Rule = (source: Source) => Draft

/** The same arguments under a type of ours; some stand for nothing else than they say. */
const as =
  (type: string, drop: readonly string[] = []): Rule =>
  ({ config, keras3 }) => {
    const given = argumentsFrom(config, keras3)
    for (const key of drop) delete given[key]
    return { ...given, type }
  }

const merge = (type: string): Rule => as(type)

/** An activation as a layer: its argument by any of its names, in both of Keras's. */
const activated =
  (type: string, names: readonly string[], fallback?: number): Rule =>
  ({ config }) => {
    const given = fields(config)
    const alpha = names.map((name) => given[name]).find((value) => value !== undefined) ?? fallback
    return { type: 'activation', activation: alpha === undefined ? type : { type, alpha: numberOf(alpha) } }
  }

/** A number; Keras 3 writes some as NumPy's. */
function numberOf(value: unknown): number {
  const inner =
    typeof value === 'object' && value !== null && 'config' in value ? (value.config as Fields)['value'] : value
  if (typeof inner !== 'number') throw new Unsupported(`value ${JSON.stringify(value)?.slice(0, 80)}`)
  return inner
}

const relu: Rule = ({ config }) => {
  const given = fields(config)
  const [negativeSlope, threshold] = ['negativeSlope', 'threshold'].map((name) => numberOf(given[name] ?? 0))
  const maxValue = given['maxValue'] === undefined ? undefined : numberOf(given['maxValue'])
  if (threshold !== 0 || (maxValue !== undefined && (maxValue !== 6 || negativeSlope !== 0)))
    throw new Unsupported('a ReLU with a threshold or a maximum other than 6')
  if (negativeSlope !== 0) return { type: 'activation', activation: { type: 'leakyRelu', alpha: negativeSlope } }
  return { type: 'activation', activation: maxValue === 6 ? 'relu6' : 'relu' }
}

/** Layers over the last axis take it as a number or as a list of one; counted with the batch. */
const lastAxis =
  (rule: Rule): Rule =>
  (source) => {
    const { axis, ...draft } = rule(source)
    const [at = -1] = Array.isArray(axis) ? axis : [axis]
    // Whether a positive axis is the last one is known once shapes are: index.ts looks at `lastAxis`.
    return { ...draft, type: String(draft['type']), ...(at === -1 ? {} : { lastAxis: at }) }
  }

const bidirectional: Rule = ({ config, keras3 }) => {
  const { layer, mergeMode = 'concat', backwardLayer } = fields(config) as Record<string, Fields | string | undefined>
  if (typeof layer !== 'object') throw new Unsupported('a Bidirectional without a layer')
  const inner = CLASSES[String(layer['class_name'])]
  const type = layer['class_name']
  if (inner === undefined || (type !== 'LSTM' && type !== 'GRU'))
    throw new Unsupported(`a Bidirectional of ${String(type)}`)
  const innerConfig = layer['config'] as Fields
  if (typeof backwardLayer === 'object' && backwardLayer['class_name'] !== type)
    throw new Unsupported('a Bidirectional of two kinds')
  return { type: 'bidirectional', mergeMode, layer: inner({ config: innerConfig, keras3 }) }
}

/** Keras 2 writes the arguments of every convolution for each of them, also those that it does not take. */
const convolved =
  (type: string, only: readonly string[], drop: readonly string[] = []): Rule =>
  (source) => {
    const draft = as(type, drop)(source)
    for (const key of only) {
      if ([draft[key] ?? 1].flat().some((value) => value !== 1)) throw new Unsupported('dilations or groups')
      delete draft[key]
    }
    return draft
  }

const dropout: Rule = ({ config }) => {
  const { rate = 0.5, noiseShape } = fields(config)
  if (noiseShape !== undefined) throw new Unsupported('argument noiseShape')
  return { type: 'dropout', rate }
}

const attention: Rule = (source) => {
  const {
    attentionAxes,
    outputShape,
    queryShape: _,
    keyShape: __,
    valueShape: ___,
    ...given
  } = as('multiHeadAttention', ['flashAttention'])(source)
  if (outputShape !== undefined) throw new Unsupported('argument outputShape')
  if (Array.isArray(attentionAxes) && attentionAxes.join() !== '1') throw new Unsupported('argument attentionAxes')
  return { ...given, type: 'multiHeadAttention' }
}

const timeDistributed: Rule = ({ config, keras3 }) => {
  const inner = config['layer'] as Fields | undefined
  if (inner?.['class_name'] !== 'Dense') throw new Unsupported(`a TimeDistributed of ${String(inner?.['class_name'])}`)
  return as('dense')({ config: inner['config'] as Fields, keras3 })
}

const pool = (dimensions: '1d' | '2d', kind: string): [string, Rule] => [
  `${kind}Pooling${dimensions.toUpperCase()}`,
  as(`${kind.charAt(0).toLowerCase()}${kind.slice(1)}Pooling${dimensions}`),
]

const KINDS = ['Max', 'Average', 'GlobalMax', 'GlobalAverage'] as const

/** Keras's classes as layers here; InputLayer is the network's input. */
export const CLASSES: Readonly<Record<string, Rule | undefined>> = {
  Dense: as('dense'),
  Activation: as('activation'),
  ReLU: relu,
  LeakyReLU: activated('leakyRelu', ['negativeSlope', 'alpha'], 0.3),
  ELU: activated('elu', ['alpha'], 1),
  Softmax: lastAxis(() => ({ type: 'activation', activation: 'softmax' })),
  Dropout: dropout,
  Embedding: as('embedding'),
  Conv1D: as('conv1d'),
  Conv2D: as('conv2d'),
  DepthwiseConv2D: convolved('depthwiseConv2d', ['groups']),
  SeparableConv2D: convolved('separableConv2d', ['groups'], ['kernelInitializer']),
  Conv2DTranspose: convolved('conv2dTranspose', ['groups', 'dilationRate']),
  ...Object.fromEntries(KINDS.flatMap((kind) => [pool('1d', kind), pool('2d', kind)])),
  Flatten: as('flatten'),
  Reshape: as('reshape'),
  Permute: as('permute'),
  ZeroPadding2D: as('zeroPadding2d'),
  Cropping2D: as('cropping2d'),
  UpSampling2D: as('upSampling2d'),
  BatchNormalization: lastAxis(as('batchNormalization')),
  LayerNormalization: lastAxis(as('layerNormalization')),
  Normalization: lastAxis(() => ({ type: 'normalization' })),
  Rescaling: as('rescaling'),
  LSTM: as('lstm'),
  GRU: as('gru'),
  Bidirectional: bidirectional,
  MultiHeadAttention: attention,
  TimeDistributed: timeDistributed,
  Add: merge('add'),
  Subtract: merge('subtract'),
  Multiply: merge('multiply'),
  Average: merge('average'),
  Maximum: merge('maximum'),
  Minimum: merge('minimum'),
  Concatenate: merge('concatenate'),
}
