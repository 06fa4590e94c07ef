import { z } from 'zod'
import { networkSchema } from '../network/schema.js'
import { idSchema, sha256Schema } from '../nouns/names.js'
import { augmentSchema, balanceSchema } from './augment.js'
import { quantizationAwareSchema } from './aware.js'
import { teacherSchema } from './distill.js'
import { baseSchema } from './finetune.js'
import { precisionOf, recipeSchema } from './recipe.js'
import { earlyStoppingSchema, lossSchema, optimizerSchema } from './training.js'

export const splitSchema = z.strictObject({
  /** Rows of each part; the parts do not overlap. */
  train: z.int().positive(),
  validation: z.int().positive(),
  test: z.int().positive(),
  /** `order` keeps time order: train first, test last. */
  by: z.enum(['shuffle', 'order']),
  /** Of the shuffle. A version trained further keeps its parent's, so that held-out rows stay unseen. */
  seed: z.int(),
})

/** What a version must fulfil to be registered. Accuracies are shares, 0 to 1. */
export const gatesSchema = z.strictObject({
  minAccuracy: z.number().min(0).max(1).optional(),
  /** Most accuracy that quantization may cost. */
  maxAccuracyLoss: z.number().min(0).max(1).optional(),
  maxMeanSquaredError: z.number().positive().optional(),
  /** Most that quantization may multiply the mean squared error with: hard to hold where that is next to nothing. */
  maxErrorRatio: z.number().min(1).optional(),
  /** Most of the targets' variance, as a share of it, that the quantized model may explain less. */
  maxExplainedLoss: z.number().min(0).max(1).optional(),
})

/** A pipeline's run as plain JSON, which any trainer node can take; nothing optional is left to guess. */
export const jobSpecSchema = z
  .strictObject({
    v: z.literal(1),
    model: idSchema,
    /** The data set's blob (tensors `data/inputs`, `data/targets`). */
    data: z.strictObject({ sha256: sha256Schema, size: z.int().positive(), scale: z.number() }),
    classes: z.array(z.string()).optional(),
    features: z.array(z.string()).optional(),
    image: z.tuple([z.int().positive(), z.int().positive(), z.int().positive()]).optional(),
    split: splitSchema,
    /** What is trained: a network from random weights, or a base model further; exactly one of the two. */
    network: networkSchema.optional(),
    base: baseSchema.optional(),
    loss: lossSchema,
    optimizer: optimizerSchema,
    batchSize: z.int().positive().max(65_536),
    epochs: z.int().positive().max(100_000),
    seed: z.int(),
    earlyStopping: earlyStoppingSchema.optional(),
    quantizationAware: quantizationAwareSchema.optional(),
    /** The teacher's blob, and how it is listened to. */
    distillation: teacherSchema.optional(),
    augment: augmentSchema.optional(),
    balance: balanceSchema.optional(),
    gates: gatesSchema,
    precision: z.enum(['fp32', 'fp16', 'int8', 'int4']),
    /** How the trained model is made smaller; `precision`'s own scheme when left out. */
    recipe: recipeSchema.optional(),
    /**
     * Formats that a version has variants in; ONNX alone when left out. `tfjs`: the float model as a Graph model of
     * TensorFlow.js, too, behind the ONNX variants.
     */
    formats: z
      .array(z.enum(['onnx', 'tfjs']))
      .refine((formats) => formats.includes('onnx'), 'has to have onnx, which is what is trained and quantized')
      .refine((formats) => new Set(formats).size === formats.length, 'names a format twice')
      .optional(),
    /** Aliases pointed at the version when its gates hold. */
    aliases: z.array(idSchema),
    /** Start from another version's weights. */
    from: z.strictObject({ manifestDigest: sha256Schema, checkpoint: sha256Schema }).optional(),
  })
  .refine(({ network, base }) => (network === undefined) !== (base === undefined), {
    path: ['network'],
    message: 'needs either a network or a base model (base)',
  })
  .refine(({ precision, recipe }) => recipe === undefined || precisionOf[recipe.scheme] === precision, {
    path: ['recipe'],
    message: 'makes another precision than the job asks for',
  })
export type JobSpec = z.infer<typeof jobSpecSchema>
export type Gates = z.infer<typeof gatesSchema>
export type Split = z.infer<typeof splitSchema>
