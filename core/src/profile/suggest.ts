import type { Signature, TensorSpec } from '../contracts/tensor.js'
import type { ProfileSchema, Statistic } from './schema.js'

/** Up to so many input values, each is sketched by itself. */
const MAX_FEATURES = 64
/** Of more, so many columns, evenly spread, and projections of all of them. */
const SAMPLED_FEATURES = 32
const PROJECTIONS = 4
const MAX_VALUES = 8
const RELATIVE_ACCURACY = 0.01
/** The part of a feature's deviation that is as good as nothing. */
const NEGLIGIBLE = 1e-3

export interface SuggestOptions {
  readonly signature: Signature
  /** [height, width, channels] of the first input, when it is an image. */
  readonly image?: readonly [number, number, number]
  /** Names of the classes; picks the output of that width. */
  readonly classes?: readonly string[]
  readonly task: 'classification' | 'regression'
  /**
   * Names and scales of the first input's columns in the training data. With them a column is sketched around its mean:
   * without, drift of a column that varies little around a large number cannot be seen.
   */
  readonly features?: readonly { readonly name: string; readonly mean?: number; readonly deviation?: number }[]
}

/**
 * A profile schema for a model. Images: their statistics and four random projections; up to 64 input values: each;
 * more: 32 of them and the projections. Classifiers: class and confidence; regressors: up to eight output values.
 *
 * @example
 * suggestProfileSchema({ signature, image: [28, 28, 1], task: 'classification' })
 */
export function suggestProfileSchema(options: SuggestOptions): ProfileSchema {
  const inputs = options.signature.inputs.filter((spec) => spec.dtype !== 'string' && widthOf(spec) > 0)
  const total = inputs.reduce((sum, spec) => sum + widthOf(spec), 0)
  const statistics = inputs.flatMap((spec, order) => {
    const prefix = order === 0 ? '' : `${spec.name}.`
    if (order === 0 && options.image) return imageStatistics(spec.name, options.image)
    if (total <= MAX_FEATURES) return featureStatistics(spec, prefix, order === 0 ? options.features : undefined, 1)
    const step = Math.max(1, widthOf(spec) / Math.max(1, Math.floor(SAMPLED_FEATURES / inputs.length)))
    const features = featureStatistics(spec, prefix, order === 0 ? options.features : undefined, step)
    return [...features, ...projectionStatistics(spec.name, prefix)]
  })
  return { v: 1, relativeAccuracy: RELATIVE_ACCURACY, statistics: [...statistics, ...outputStatistics(options)] }
}

/** Values a row; 0 when a dimension after the first is free. */
function widthOf(spec: TensorSpec): number {
  return spec.shape.slice(1).reduce<number>((product, size) => product * (size ?? 0), 1)
}

function imageStatistics(input: string, [height, width, channels]: readonly [number, number, number]): Statistic[] {
  const measures = ['mean', 'deviation', 'sharpness', 'dark', 'bright', 'centroidX', 'centroidY'] as const
  const images = measures.map(
    (of): Statistic => ({ kind: 'image', name: `image.${of}`, input, shape: [height, width, channels], of }),
  )
  return [...images, ...projectionStatistics(input, '')]
}

function projectionStatistics(input: string, prefix: string): Statistic[] {
  return Array.from({ length: PROJECTIONS }, (_, i) => ({
    kind: 'projection',
    name: `${prefix}projection.${i}`,
    input,
    seed: i,
  }))
}

function featureStatistics(
  spec: TensorSpec,
  prefix: string,
  features: SuggestOptions['features'],
  step: number,
): Statistic[] {
  const width = widthOf(spec)
  return Array.from({ length: Math.ceil(width / step) }, (_, i): Statistic => {
    const index = Math.floor(i * step)
    const { name, mean, deviation } = features?.[index] ?? { name: String(index) }
    return {
      kind: 'feature',
      name: `${prefix}feature.${name}`,
      input: spec.name,
      index,
      ...(mean !== undefined && { center: mean }),
      ...(deviation !== undefined && { floor: deviation * NEGLIGIBLE }),
    }
  })
}

function outputStatistics({ signature, task, classes }: SuggestOptions): Statistic[] {
  const floats = signature.outputs.filter((spec) => spec.dtype.startsWith('float'))
  const named = classes && floats.find((spec) => widthOf(spec) === classes.length)
  const spec = named ?? floats[0] ?? signature.outputs[0]
  if (!spec) return []
  if (task === 'classification')
    return [
      { kind: 'confidence', name: 'confidence', output: spec.name },
      { kind: 'class', name: 'class', output: spec.name },
    ]
  return Array.from({ length: Math.min(MAX_VALUES, Math.max(1, widthOf(spec))) }, (_, index) => ({
    kind: 'value',
    name: `value.${index}`,
    output: spec.name,
    index,
  }))
}
