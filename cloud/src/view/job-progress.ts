import type { JobRecord } from '@tideway/core'
import { z } from 'zod'

/** What trainer nodes say of a job, as far as it is shown; a node of another version may say more or less. */
const progressSchema = z.object({
  stage: z.string().catch('waiting'),
  epoch: z.number().optional().catch(undefined),
  epochs: z.number().optional().catch(undefined),
  step: z.number().optional().catch(undefined),
  steps: z.number().optional().catch(undefined),
  loss: z.number().optional().catch(undefined),
  samplesPerSecond: z.number().optional().catch(undefined),
  secondsLeft: z.number().optional().catch(undefined),
  /** Those of the last epoch that ended. */
  metrics: z.record(z.string(), z.number()).catch({}).default({}),
})

export function progressOf({ progress }: JobRecord): z.output<typeof progressSchema> {
  return progressSchema.parse(progress ?? {})
}

/** The measure of the validation rows that a person looks at: accuracy where there is one. */
export function newestMetric(metrics: Readonly<Record<string, number>>): string | undefined {
  const name = ['valAccuracy', 'valLoss'].find((known) => metrics[known] !== undefined)
  const value = name === undefined ? undefined : metrics[name]
  return value === undefined ? undefined : `${name} ${value.toFixed(4)}`
}

/** Seconds as `45s`, `3m20s`, `2h05m`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const padded = (value: number) => String(value).padStart(2, '0')
  if (whole < 60) return `${whole}s`
  const minutes = Math.floor(whole / 60)
  return minutes < 60 ? `${minutes}m${padded(whole % 60)}s` : `${Math.floor(minutes / 60)}h${padded(minutes % 60)}m`
}
