/** A value that Keras has and a network here has not; what is thrown becomes one issue among all. */
export class Unsupported extends Error {
  override readonly name = 'Unsupported'
}

type Fields = Readonly<Record<string, unknown>>
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const camel = (name: string): string =>
  name.replace(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
const lowerFirst = (name: string): string => name.charAt(0).toLowerCase() + name.slice(1)

/** { class_name, config } with the config's keys in camelCase. */
function classOf(value: unknown): { readonly type: string; readonly config: Fields } | undefined {
  if (!isFields(value) || typeof value['class_name'] !== 'string') return undefined
  const config = isFields(value['config']) ? value['config'] : {}
  return { type: value['class_name'], config: fields(config) }
}

/** Keys in camelCase; nulls are what was left out. */
export function fields(config: Fields): Fields {
  return Object.fromEntries(
    Object.entries(config)
      .filter(([, value]) => value !== null)
      .map(([key, value]) => [camel(key), value]),
  )
}

const ALIASES: Readonly<Record<string, string>> = { hardSilu: 'hardSwish' }

/** Keras 3 changed the slope of hard_sigmoid from 0.2 to 1/6. */
export function activationFrom(value: unknown, keras3: boolean): unknown {
  const found = classOf(value)
  const name = camel(textOf(value) ?? textOf(found?.config['name']) ?? found?.type ?? '')
  if (name === 'hardSigmoid' && !keras3) return { type: 'hardSigmoid', alpha: 0.2 }
  return ALIASES[name] ?? lowerFirst(name)
}

const DISTRIBUTIONS: Readonly<Record<string, string>> = { normal: 'truncatedNormal' }

export function initializerFrom(value: unknown): unknown {
  if (typeof value === 'string') return camel(value)
  const found = classOf(value)
  if (found === undefined) throw new Unsupported(`initializer ${JSON.stringify(value)?.slice(0, 80)}`)
  const { seed: _, dtype: __, ...config } = found.config
  const type = lowerFirst(found.type)
  if (type !== 'varianceScaling') return { type, ...config }
  const distribution = camel(textOf(config['distribution']) ?? 'truncatedNormal')
  return {
    ...config,
    type,
    mode: camel(textOf(config['mode']) ?? 'fanIn'),
    distribution: DISTRIBUTIONS[distribution] ?? distribution,
  }
}

export function regularizerFrom(value: unknown): unknown {
  const found = classOf(value)
  if (found === undefined) throw new Unsupported('a regularizer by function')
  const { l1 = 0, l2 = 0 } = found.config
  return { type: 'l1l2', l1, l2 }
}

/** Arguments that say nothing of what a layer computes. */
const IGNORED = new Set([
  'name',
  'trainable',
  'dtype',
  'batchInputShape',
  'batchShape',
  'inputShape',
  'seed',
  'implementation',
  'unroll',
  'fused',
  'sparse',
  'ragged',
  'inputLength',
  'timeMajor',
  'cudnn',
  'useCudnn',
  'zeroOutputForMask',
  'buildConfig',
  'quantizationConfig',
  'loraRank',
  'loraAlpha',
  'supportsMasking',
  'inputDtype',
  'useMask',
  'autocast',
  'renormMomentum',
  // Of rows that are masked out altogether: nothing is masked here.
  'softmaxRobustMasking',
])

/** Arguments that may only have the value that nothing else is built for. */
const ONLY: Readonly<Record<string, unknown>> = {
  stateful: false,
  returnState: false,
  recurrentDropout: 0,
  maskZero: false,
  renorm: false,
  synchronized: false,
  rmsScaling: false,
  supportsJit: true,
  useGate: false,
}

/** A layer's arguments in the form of the schema. Throws `Unsupported`. */
export function argumentsFrom(config: Fields, keras3: boolean): Record<string, unknown> {
  const out: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(fields(config))) {
    if (IGNORED.has(key)) continue
    if (key in ONLY) {
      if (value !== ONLY[key]) throw new Unsupported(`argument ${key} = ${JSON.stringify(value)}`)
    } else if (key.endsWith('Initializer')) out[key] = initializerFrom(value)
    else if (key.endsWith('Regularizer')) out[key] = regularizerFrom(value)
    else if (key === 'activation' || key === 'recurrentActivation') out[key] = activationFrom(value, keras3)
    else if (key === 'targetShape' && Array.isArray(value)) out[key] = value.map((size: unknown) => size ?? -1)
    else out[key] = key === 'dataFormat' && typeof value === 'string' ? camel(value) : value
  }
  if (out['dataFormat'] === 'channelsFirst') throw new Unsupported('dataFormat channels_first')
  return out
}
