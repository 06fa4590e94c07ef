import { z } from 'zod'
import { sha256Schema } from '../nouns/names.js'

/** Training on another model's outputs beside the true targets (Hinton, Vinyals and Dean 2015, arXiv:1503.02531). */
export const distillationSchema = z.strictObject({
  /** Logits are divided by it before they become shares, which shows what else the teacher holds likely; default 4. */
  temperature: z.number().positive().max(1_000).optional(),
  /** The share of the loss that is held against the teacher; the rest is against the targets. Default 0.5. */
  weight: z.number().min(0).max(1).optional(),
})

export type Distillation = z.infer<typeof distillationSchema>
export type ResolvedDistillation = Required<Distillation>

const TEMPERATURE = 4
const WEIGHT = 0.5

/** With nothing left out. */
export function resolveDistillation(config: Distillation): ResolvedDistillation {
  return { temperature: config.temperature ?? TEMPERATURE, weight: config.weight ?? WEIGHT }
}

/** A job's teacher: its blob, and how it is listened to. */
export const teacherSchema = z.strictObject({
  sha256: sha256Schema,
  size: z.int().positive(),
  ...distillationSchema.shape,
})

/** A pipeline's teacher. */
export interface Teacher extends Distillation {
  /** A float ONNX file, or its bytes. A path in a pipeline file is relative to that file. */
  readonly model: string | Uint8Array
}
