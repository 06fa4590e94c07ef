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
})

export function progressOf({ progress }: JobRecord): z.output<typeof progressSchema> {
  return progressSchema.parse(progress ?? {})
}
