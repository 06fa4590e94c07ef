import { z } from 'zod'
import { sha256Schema } from '../nouns/names.js'

const pattern = z.string().min(1).max(1_000)

/** A dense layer in place of what a model ended with. */
export const headSchema = z
  .strictObject({
    /** Softmax over so many classes. */
    classes: z.int().min(2).max(65_536).optional(),
    /** So many numbers, without activation; instead of `classes`. */
    outputs: z.int().positive().max(65_536).optional(),
    /** How features of several places become one vector; default `average`. */
    pool: z.enum(['average', 'flatten', 'first', 'last']).optional(),
    /** Where the channels of features with places are; default `first` for images, `last` for sequences. */
    channels: z.enum(['first', 'last']).optional(),
    /** The share of features left out at random in each step, before the layer. */
    dropout: z.number().min(0).lt(1).optional(),
  })
  .refine(({ classes, outputs }) => (classes === undefined) !== (outputs === undefined), {
    message: 'needs either classes or outputs',
  })

/** What is done to an ONNX model before it is trained further; plain JSON. */
export const fineTuneSchema = z.strictObject({
  /** Patterns (`*` any text, `?` one character) of initializers or nodes whose weights stay as they are, bit for bit. */
  freeze: z.array(pattern).max(1_000).readonly().optional(),
  /** The node or value behind which everything is dropped; with a head, the input of the last dense layer when left out. */
  cutAt: pattern.optional(),
  head: headSchema.optional(),
  /** One row's shape, where the file leaves sizes other than the batch free. */
  inputShape: z.array(z.int().positive()).min(1).max(8).readonly().optional(),
})

export type FineTune = z.infer<typeof fineTuneSchema>

/** A job's base model: its blob, and what is done to it. */
export const baseSchema = z.strictObject({
  sha256: sha256Schema,
  size: z.int().positive(),
  ...fineTuneSchema.shape,
})

/** A pipeline's base model. */
export interface BaseModel extends FineTune {
  /** An ONNX file, or its bytes. A path in a pipeline file is relative to that file. */
  readonly model: string | Uint8Array
}
