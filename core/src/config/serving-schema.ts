import { z } from 'zod'
import type { ServingConfig } from './serving.js'

const count = z.int().min(1)

export const servingConfigSchema: z.ZodType<ServingConfig> = z.strictObject({
  maxBatchRows: count.optional(),
  maxDelayMs: z.number().min(0).max(60_000).optional(),
  maxQueuedRows: count.optional(),
  maxModels: count.optional(),
  maxModelBytes: count.optional(),
  threads: count.optional(),
  cache: z
    .strictObject({
      maxBytes: count.optional(),
      maxEntries: count.optional(),
      maxRequestBytes: count.optional(),
      models: z.array(z.string().min(1)).readonly().optional(),
    })
    .optional(),
})
