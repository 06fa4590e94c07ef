import { z } from 'zod'

/** Shares and decay rates: 0 or more, below 1. */
const fraction = z.number().min(0).lt(1)
const share = z.number().min(0).max(1)
const positive = z.number().positive()
const count = z.int().positive()
/** A metric of an epoch: `loss`, `valLoss`, `valAccuracy`. Accuracies are to rise, everything else is to fall. */
const metric = z.string().min(1).max(63)

type Fields = Readonly<Record<string, unknown>>

/** At most one of some fields: the error names each that is too many. */
const atMostOne =
  (...fields: readonly string[]) =>
  (value: Fields, context: z.RefinementCtx): void => {
    const [first, ...more] = fields.filter((field) => value[field] !== undefined)
    for (const field of more)
      context.addIssue({ code: 'custom', path: [field], message: `cannot be given beside ${first}` })
  }

/** How the learning rate changes while training. `initial` and `maximum` are rates; a `…Share` is 0 to 1. */
export const scheduleSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('constant'), initial: positive }),
  /** Multiplied by `factor` each `every` epochs (PyTorch's `StepLR`). */
  z.strictObject({
    type: z.literal('step'),
    initial: positive,
    every: count,
    factor: positive.max(1).optional(),
  }),
  /**
   * Rises from `warmupFrom` (a share of `maximum`) for `warmupSteps`, or that share of all steps, then falls as half a
   * cosine to `final`, a share of `maximum` (Keras's `CosineDecay`; Loshchilov and Hutter 2017, arXiv:1608.03983).
   */
  z
    .strictObject({
      type: z.literal('cosine'),
      maximum: positive,
      warmupSteps: z.int().min(0).optional(),
      warmupShare: fraction.optional(),
      warmupFrom: share.optional(),
      final: share.optional(),
    })
    .superRefine(atMostOne('warmupSteps', 'warmupShare')),
  /**
   * From `maximum` / `initialDivisor` up for `warmupShare` of all steps, then down to that / `finalDivisor`, both as
   * half a cosine (PyTorch's `OneCycleLR`; Smith and Topin 2018, arXiv:1708.07120).
   */
  z.strictObject({
    type: z.literal('oneCycle'),
    maximum: positive,
    warmupShare: fraction.optional(),
    initialDivisor: z.number().min(1).optional(),
    finalDivisor: z.number().min(1).optional(),
  }),
  /** Multiplied by `factor` when `metric` has not got better for `patience` epochs (Keras's `ReduceLROnPlateau`). */
  z.strictObject({
    type: z.literal('reduceOnPlateau'),
    initial: positive,
    metric: metric.optional(),
    factor: positive.lt(1).optional(),
    patience: count.optional(),
    minDelta: z.number().min(0).optional(),
    cooldown: z.int().min(0).optional(),
    minimum: z.number().min(0).optional(),
  }),
])

/** What every optimizer takes, as Keras's. */
const common = {
  learningRate: z.union([positive, scheduleSchema]),
  /** Longest that the gradient of one parameter may be (its L2 norm); longer ones are scaled down. */
  clipNorm: positive.optional(),
  /** The same of all parameters' gradients taken as one vector. */
  globalClipNorm: positive.optional(),
  /** Elements of gradients are cut to [-clipValue, clipValue]. */
  clipValue: positive.optional(),
  /** Batches whose mean gradient makes one step; an epoch's last step takes those that are left. */
  accumulate: count.max(65_536).optional(),
  /** An exponential moving average of the weights is evaluated and shipped in their place. */
  ema: z.strictObject({ momentum: fraction.optional() }).optional(),
}
/** Share of the learning rate that weights lose each step, apart from the gradient (Loshchilov and Hutter 2019). */
const weightDecay = z.number().min(0).optional()
const betas = { beta1: fraction.optional(), beta2: fraction.optional() }

export const optimizerSchema = z
  .discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('sgd'),
      ...common,
      momentum: fraction.optional(),
      nesterov: z.boolean().optional(),
      weightDecay,
    }),
    z.strictObject({ type: z.literal('adam'), ...common, ...betas, epsilon: positive.optional() }),
    z.strictObject({ type: z.literal('adamw'), ...common, ...betas, epsilon: positive.optional(), weightDecay }),
    z.strictObject({
      type: z.literal('rmsprop'),
      ...common,
      rho: fraction.optional(),
      momentum: fraction.optional(),
      epsilon: positive.optional(),
      centered: z.boolean().optional(),
      weightDecay,
    }),
    z.strictObject({ type: z.literal('lion'), ...common, ...betas, weightDecay }),
  ])
  .superRefine(atMostOne('clipNorm', 'globalClipNorm', 'clipValue'))

export const lossNames = [
  'softmaxCrossEntropy',
  'sigmoidCrossEntropy',
  'meanSquaredError',
  'meanAbsoluteError',
  'huber',
  'triplet',
  'reconstruction',
] as const

/** A loss by its name, or with arguments. All are means over the batch, and over a row's elements where it has some. */
export const lossSchema = z.union([
  z.enum(lossNames),
  z.discriminatedUnion('type', [
    /** Targets are int32 class indices; `classWeights` multiply the rows of a class, by its index. */
    z.strictObject({
      type: z.literal('softmaxCrossEntropy'),
      labelSmoothing: share.optional(),
      classWeights: z.array(z.number().min(0)).min(2).readonly().optional(),
    }),
    /** Targets are float32 probabilities of the output's shape; `positiveWeight` multiplies those of 1. */
    z.strictObject({
      type: z.literal('sigmoidCrossEntropy'),
      labelSmoothing: share.optional(),
      positiveWeight: positive.optional(),
    }),
    z.strictObject({ type: z.literal('meanSquaredError') }),
    z.strictObject({ type: z.literal('meanAbsoluteError') }),
    /** Quadratic up to `delta`, linear beyond (Huber 1964). */
    z.strictObject({ type: z.literal('huber'), delta: positive.optional() }),
    /** The output is an embedding, targets are int32 class indices; mined within the batch, the hardest of each row. */
    z.strictObject({ type: z.literal('triplet'), margin: positive.optional() }),
    /** Autoencoders: the targets are the network's own inputs. */
    z.strictObject({
      type: z.literal('reconstruction'),
      by: z.enum(['meanSquaredError', 'sigmoidCrossEntropy']).optional(),
    }),
  ]),
])

/** Training ends when `metric` has not got better by `minDelta` for `patience` epochs (Keras's `EarlyStopping`). */
export const earlyStoppingSchema = z.strictObject({
  metric: metric.optional(),
  patience: z.int().min(0).optional(),
  minDelta: z.number().min(0).optional(),
  /** The weights of the best epoch are kept, not the last one's. */
  restoreBest: z.boolean().optional(),
})

export type ScheduleConfig = z.infer<typeof scheduleSchema>
export type OptimizerConfig = z.infer<typeof optimizerSchema>
export type LossConfig = z.infer<typeof lossSchema>
export type EarlyStoppingConfig = z.infer<typeof earlyStoppingSchema>
