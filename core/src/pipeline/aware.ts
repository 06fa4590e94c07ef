import { z } from 'zod'
import { scheduleSchema } from './training.js'
import { resolveSchedule } from './training-defaults.js'

/**
 * Quantization-aware training: the last epochs of a job are trained with weights and activations rounded as int8 will
 * round them, batch normalization folded in (Jacob et al. 2018, arXiv:1712.05877; Krishnamoorthi 2018, arXiv:1806.08342).
 */
export const quantizationAwareSchema = z.strictObject({
  /**
   * How many of the job's epochs, the last ones; all of them for a base model or a version trained further, if wanted. A
   * longer job that goes on from a checkpoint of these has more of them.
   */
  epochs: z.int().positive().max(100_000),
  /** Theirs alone; left out: half a cosine from half of the job's highest rate down to 0. */
  learningRate: z.union([z.number().positive(), scheduleSchema]).optional(),
  /**
   * Of weights: 8 uses what int8 has, fewer make the integers few, on scales that are trained, too. Such a file is not
   * smaller by itself, but compresses so; trained for it, networks stand 2 or 3 where rounding afterwards does not.
   */
  weightBits: z.int().min(2).max(8).optional(),
  /** The share of a range that stays in each step, less in the first ones; the rest is what the batch held. */
  rangeMomentum: z.number().min(0).lt(1).optional(),
})

export type QuantizationAware = z.infer<typeof quantizationAwareSchema>
export type ResolvedQuantizationAware = Required<QuantizationAware>

const RANGE_MOMENTUM = 0.99
/**
 * Weights are nearly right already, but a tenth was too little for what rounding takes away: of 3-bit weights it brought back
 * 0.5 where half brings back 0.75, and 8 bits lost a point to float epochs at the whole rate.
 */
const RATE_SHARE = 0.5

/** With nothing left out, for a job of that learning rate. */
export function resolveQuantizationAware(
  config: QuantizationAware,
  learningRate: Parameters<typeof resolveSchedule>[0],
): ResolvedQuantizationAware {
  const schedule = resolveSchedule(learningRate)
  const highest = 'maximum' in schedule ? schedule.maximum : schedule.initial
  return {
    epochs: config.epochs,
    learningRate: config.learningRate ?? { type: 'cosine', maximum: highest * RATE_SHARE },
    weightBits: config.weightBits ?? 8,
    rangeMomentum: config.rangeMomentum ?? RANGE_MOMENTUM,
  }
}
