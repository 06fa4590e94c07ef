import type { EarlyStoppingConfig, LossConfig, OptimizerConfig, ScheduleConfig } from './training.js'

type OfType<Union, Type> = Extract<Union, { readonly type: Type }>
type Whole<T, Without extends string = never> = { readonly [K in Exclude<keyof T, Without>]-?: NonNullable<T[K]> }
type Defaults<T> = { readonly [K in keyof T as undefined extends T[K] ? K : never]-?: NonNullable<T[K]> }

type Common = 'learningRate' | 'clipNorm' | 'globalClipNorm' | 'clipValue' | 'accumulate' | 'ema'
type Step = { readonly [T in OptimizerConfig['type']]: Whole<OfType<OptimizerConfig, T>, Common> }
type LossObject = Exclude<LossConfig, string>
type Warmup = 'warmupSteps' | 'warmupShare'

/** Keras's defaults, where Keras has them, else PyTorch's. */
export const optimizerDefaults: { readonly [T in OptimizerConfig['type']]: Omit<Step[T], 'type'> } = Object.freeze({
  sgd: Object.freeze({ momentum: 0, nesterov: false, weightDecay: 0 }),
  adam: Object.freeze({ beta1: 0.9, beta2: 0.999, epsilon: 1e-7 }),
  adamw: Object.freeze({ beta1: 0.9, beta2: 0.999, epsilon: 1e-7, weightDecay: 0.004 }),
  rmsprop: Object.freeze({ rho: 0.9, momentum: 0, epsilon: 1e-7, centered: false, weightDecay: 0 }),
  lion: Object.freeze({ beta1: 0.9, beta2: 0.99, weightDecay: 0 }),
})

type ScheduleDefaults = {
  readonly [T in ScheduleConfig['type']]: Omit<Defaults<OfType<ScheduleConfig, T>>, Warmup> & {
    readonly warmupShare?: number
  }
}

export const scheduleDefaults: ScheduleDefaults = Object.freeze({
  constant: Object.freeze({}),
  step: Object.freeze({ factor: 0.1 }),
  cosine: Object.freeze({ warmupFrom: 0, final: 0 }),
  oneCycle: Object.freeze({ warmupShare: 0.3, initialDivisor: 25, finalDivisor: 1e4 }),
  reduceOnPlateau: Object.freeze({
    metric: 'valLoss',
    factor: 0.1,
    patience: 10,
    minDelta: 1e-4,
    cooldown: 0,
    minimum: 0,
  }),
})

export const lossDefaults: { readonly [T in LossObject['type']]: Omit<ResolvedLossOf<T>, 'type'> } = Object.freeze({
  softmaxCrossEntropy: Object.freeze({ labelSmoothing: 0, classWeights: Object.freeze([]) }),
  sigmoidCrossEntropy: Object.freeze({ labelSmoothing: 0, positiveWeight: 1 }),
  meanSquaredError: Object.freeze({}),
  meanAbsoluteError: Object.freeze({}),
  huber: Object.freeze({ delta: 1 }),
  triplet: Object.freeze({ margin: 1 }),
  reconstruction: Object.freeze({ by: 'meanSquaredError' }),
})

export const earlyStoppingDefaults: ResolvedEarlyStopping = Object.freeze({
  metric: 'valLoss',
  patience: 0,
  minDelta: 0,
  restoreBest: true,
})
const EMA_MOMENTUM = 0.99

type ResolvedLossOf<T extends LossObject['type']> = T extends 'softmaxCrossEntropy'
  ? { readonly type: T; readonly labelSmoothing: number; readonly classWeights: readonly number[] }
  : Whole<OfType<LossObject, T>>
type ResolvedScheduleOf<T extends ScheduleConfig['type']> = T extends 'cosine'
  ? Whole<OfType<ScheduleConfig, T>, Warmup> & Pick<OfType<ScheduleConfig, 'cosine'>, Warmup>
  : Whole<OfType<ScheduleConfig, T>>

/** An empty `classWeights` is 1 for every class. */
export type ResolvedLoss = { [T in LossObject['type']]: ResolvedLossOf<T> }[LossObject['type']]
export type ResolvedSchedule = { [T in ScheduleConfig['type']]: ResolvedScheduleOf<T> }[ScheduleConfig['type']]
export type ResolvedEarlyStopping = Whole<EarlyStoppingConfig>
export type Clipping = { readonly by: 'norm' | 'globalNorm' | 'value'; readonly limit: number }

export interface ResolvedOptimizer {
  /** What changes a weight, with nothing left out; `averageMomentum` where an average of the weights is kept. */
  readonly step: Step[keyof Step] & { readonly averageMomentum?: number }
  readonly schedule: ResolvedSchedule
  readonly clipping?: Clipping
  readonly accumulate: number
}

/** An optimizer's config with nothing left to guess. */
export function resolveOptimizer(config: OptimizerConfig): ResolvedOptimizer {
  const { learningRate, clipNorm, globalClipNorm, clipValue, accumulate = 1, ema, ...own } = config
  const clippings = { norm: clipNorm, globalNorm: globalClipNorm, value: clipValue }
  const clipping = (['norm', 'globalNorm', 'value'] as const).flatMap((by) => {
    const limit = clippings[by]
    return limit === undefined ? [] : [{ by, limit }]
  })[0]
  const step = { ...optimizerDefaults[own.type], ...given(own) } as Step[keyof Step]
  return {
    step: ema === undefined ? step : { ...step, averageMomentum: ema.momentum ?? EMA_MOMENTUM },
    schedule: resolveSchedule(learningRate),
    ...(clipping === undefined ? {} : { clipping }),
    accumulate,
  }
}

/** A number is the rate of every step. */
export function resolveSchedule(config: number | ScheduleConfig): ResolvedSchedule {
  if (typeof config === 'number') return { type: 'constant', initial: config }
  return { ...scheduleDefaults[config.type], ...given(config) } as ResolvedSchedule
}

/** A name is that loss with its defaults. */
export function resolveLoss(config: LossConfig): ResolvedLoss {
  const object: LossObject = typeof config === 'string' ? { type: config } : config
  return { ...lossDefaults[object.type], ...given(object) } as ResolvedLoss
}

export function resolveEarlyStopping(config: EarlyStoppingConfig): ResolvedEarlyStopping {
  return { ...earlyStoppingDefaults, ...given(config) }
}

/** Without fields that are there and undefined, which would hide a default. */
const given = <T extends object>(config: T): T =>
  Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined)) as T
