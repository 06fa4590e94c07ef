import { z } from 'zod'
import { versionNameSchema } from '../traffic/policy.js'

const rate = z.number().gt(0).lt(1)

/** What is measured of each unit. */
export const abMetricSchema = z.discriminatedUnion('kind', [
  /** 0 or 1. `baseline`: the rate expected of control. */
  z.strictObject({ kind: z.literal('binary'), baseline: rate.optional() }),
  /** A number; beyond `min` and `max` it counts as one of them. `sd`: the standard deviation expected of a unit. */
  z.strictObject({
    kind: z.literal('mean'),
    min: z.number(),
    max: z.number(),
    baseline: z.number().optional(),
    sd: z.number().positive().optional(),
  }),
])

/**
 * An A/B test as it is declared, before it begins; it cannot be changed after. What is expected (`baseline`, `sd`) decides
 * how soon a test ends, never how often it errs.
 */
export const abDeclarationSchema = z
  .strictObject({
    control: versionNameSchema,
    treatment: versionNameSchema,
    metric: abMetricSchema,
    better: z.enum(['higher', 'lower']).default('higher'),
    /** The smallest improvement that matters, in the metric's own unit: absolute, and positive also where lower is better. */
    leastEffect: z.number().positive(),
    /** How often at most a treatment that is not better may be promoted. */
    alpha: z.number().gt(0).max(0.2).default(0.05),
    /** How often at most one that is better by the least effect may be given up for having less. */
    beta: z.number().gt(0).max(0.5).default(0.2),
    /** Of units that get the treatment. */
    split: z.number().min(0.05).max(0.95).default(0.5),
    /** Then the test ends; without it as many as the least effect takes to be found, by the plan. */
    maxUnits: z.int().min(10).max(100_000_000).optional(),
  })
  .superRefine(({ metric, leastEffect }, context) => {
    const issue = (path: (string | number)[], message: string) => context.addIssue({ code: 'custom', path, message })
    const { min, max } = rangeOf(metric)
    if (!(min < max)) issue(['metric', 'max'], 'must be above min')
    else if (leastEffect >= max - min) issue(['leastEffect'], `must be less than the metric's range of ${max - min}`)
    if (metric.kind === 'binary') return
    const { baseline, sd } = metric
    if (baseline !== undefined && !(min < baseline && baseline < max))
      issue(['metric', 'baseline'], 'must lie between min and max')
    // No variable within a range has more (Popoviciu 1935).
    if (sd !== undefined && sd > (max - min) / 2)
      issue(['metric', 'sd'], 'is more than half of the range, which cannot be')
  })

export type AbMetric = z.output<typeof abMetricSchema>
export type AbDeclaration = z.output<typeof abDeclarationSchema>

/** Between what a unit's value lies. */
export function rangeOf(metric: AbMetric): { readonly min: number; readonly max: number } {
  return metric.kind === 'binary' ? { min: 0, max: 1 } : metric
}
