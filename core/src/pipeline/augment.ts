import { z } from 'zod'

/** The chance that a step changes a row; always when left out. */
const probability = z.number().min(0).max(1).optional()
/** Below 1 a share of the side, from 1 up pixels (or time steps). */
const extent = z.number().positive()
/**
 * What lies beyond the border, by Keras's names: one value (`constant`), the border's own (`nearest`), the row mirrored
 * (`reflect`: d c b a | a b c d | d c b a) or repeated (`wrap`). Keras's layers mirror by default; here it is
 * `constant`, which is right for what stands on an empty ground.
 */
const border = {
  fillMode: z.enum(['constant', 'nearest', 'reflect', 'wrap']).optional(),
  /** Of `constant`, in the data's units (0 to 255 for uint8); 0 when left out. */
  fillValue: z.number().optional(),
}

const cropSchema = z
  .strictObject({
    type: z.literal('crop'),
    height: z.int().positive().optional(),
    width: z.int().positive().optional(),
    padding: z.int().positive().optional(),
    ...border,
    probability,
  })
  .refine(({ height, width, padding }) => (padding === undefined) === (height !== undefined && width !== undefined), {
    message: 'needs either height and width, or padding',
  })

const flipSchema = z
  .strictObject({
    type: z.literal('flip'),
    horizontal: z.boolean().optional(),
    vertical: z.boolean().optional(),
    probability,
  })
  .refine(({ horizontal, vertical }) => horizontal === true || vertical === true, {
    message: 'needs horizontal: true or vertical: true',
  })

/**
 * One step of augmentation. Amounts are drawn anew for each row, uniformly within ± what is given unless it says
 * otherwise; the row keeps its shape and type. uint8 rows are rounded and clipped to 0 to 255 once, after the last step;
 * float32 rows are not clipped.
 */
export const augmentStepSchema = z.discriminatedUnion('type', [
  /** Moves an image (Keras's `RandomTranslation`): `x` to the sides, `y` up and down. */
  z.strictObject({
    type: z.literal('shift'),
    x: extent.optional(),
    y: extent.optional(),
    ...border,
    probability,
  }),
  /** Turns an image about its centre (Keras's `RandomRotation`, whose factor is a share of 360 degrees). */
  z.strictObject({ type: z.literal('rotate'), degrees: z.number().positive().max(180), ...border, probability }),
  /** Mirrors an image, with even chances for each named direction (Keras's `RandomFlip`). */
  flipSchema,
  /**
   * A random window of an image: `height` × `width` pixels stretched back to the row's size, or as large as the row out
   * of one with `padding` pixels more on each side (He et al. 2016, for CIFAR).
   */
  cropSchema,
  /** Scales an image about its centre, both sides alike (Keras's `RandomZoom`): the view grows by 1 + draw. */
  z.strictObject({ type: z.literal('zoom'), factor: z.number().positive().lt(1), ...border, probability }),
  /** Adds one number to an image (Keras's `RandomBrightness`), as a share of the full scale: 255 for uint8, else 1. */
  z.strictObject({ type: z.literal('brightness'), delta: z.number().positive(), probability }),
  /** (x - mean) * (1 + draw) + mean, the mean of each channel (Keras's `RandomContrast`). */
  z.strictObject({ type: z.literal('contrast'), factor: z.number().positive().max(1), probability }),
  /** Adds a normal number to each value of an image (Keras's `GaussianNoise`), as a share of the full scale. */
  z.strictObject({ type: z.literal('noise'), stddev: z.number().positive(), probability }),
  /** Covers squares that lie wholly within an image (DeVries and Taylor 2017): their side, and how many. */
  z.strictObject({
    type: z.literal('cutout'),
    size: extent,
    count: z.int().positive().max(64).optional(),
    fillValue: z.number().optional(),
    probability,
  }),
  /**
   * Mixes each row, and its target, with another of the batch (Zhang et al. 2018): a share drawn from Beta(alpha, alpha)
   * for each row. Classes become float32 shares [batch, classes]. The last step.
   */
  z.strictObject({ type: z.literal('mixup'), alpha: z.number().min(0.01).max(100), probability }),
  /** Adds a normal number to each value of a series, in the data's units (Um et al. 2017). */
  z.strictObject({ type: z.literal('jitter'), stddev: z.number().positive(), probability }),
  /** Multiplies each feature of a series with a normal number of mean 1 (Um et al. 2017). */
  z.strictObject({ type: z.literal('scale'), stddev: z.number().positive(), probability }),
  /** A random window of a series, stretched to the row's length by linear interpolation (Le Guennec et al. 2016). */
  z.strictObject({ type: z.literal('window'), length: extent, probability }),
  /** Moves a series by whole time steps. */
  z.strictObject({ type: z.literal('timeShift'), steps: extent, ...border, probability }),
])
export type AugmentStep = z.infer<typeof augmentStepSchema>

/** The steps in their order; those that move pixels and follow one another are one interpolation. */
export const augmentSchema = z
  .array(augmentStepSchema)
  .max(32)
  .superRefine((steps, context) => {
    for (const [place, step] of steps.entries()) {
      const issue = (message: string): void => context.addIssue({ code: 'custom', path: [place], message })
      if (step.type === 'mixup' && place < steps.length - 1) issue('mixup must be the last step')
      if (step.type === 'shift' && step.x === undefined && step.y === undefined) issue('needs x or y')
    }
  })
export type Augment = readonly AugmentStep[]

/**
 * What is done about classes of unequal size: nothing; rows of the smaller ones repeated in each epoch until all are as
 * large as the largest (`oversample`); or each row's loss weighted with rows / (classes * rows of its class) (`weights`).
 */
export const balanceSchema = z.enum(['none', 'oversample', 'weights'])
export type Balance = z.infer<typeof balanceSchema>
