import {
  accessRoles,
  blobRefSchema,
  desiredSchema,
  idSchema,
  reportedSchema,
  sha256Schema,
  versionOrAliasSchema,
} from '@tideway/core'
import { z } from 'zod'

/** What the API answers with, for its documentation and types; the records are core's contracts. */
const at = z.iso.datetime()
const data = z.record(z.string(), z.unknown()).readonly()

export const versionOrAlias = versionOrAliasSchema
export const limitQuery = z.coerce.number().int().min(1).max(1_000).optional()

export const modelRecord = z.object({ name: z.string(), displayName: z.string(), createdAt: at })
export const versionRecord = z.object({
  model: z.string(),
  version: z.int().positive(),
  manifestDigest: sha256Schema,
  runId: z.string().optional(),
  createdAt: at,
})
export const aliasRecord = z.object({ model: z.string(), alias: z.string(), version: z.int().positive(), at })

export const deviceRecord = z.object({
  id: z.string(),
  fleet: z.string(),
  firstSeenAt: at,
  lastSeenAt: at,
  reported: reportedSchema.optional(),
})

export const deployment = z.object({
  model: z.string(),
  version: z.int().positive(),
  manifestDigest: sha256Schema,
  fleet: z.string(),
  devices: z.array(z.string()).readonly().optional(),
  desired: z.array(desiredSchema).readonly(),
  unaffected: z.array(idSchema).readonly(),
})

export const driftVerdict = z.object({
  model: z.string(),
  manifestDigest: z.string(),
  fleet: z.string(),
  device: z.string().optional(),
  rows: z.int(),
  baselineRows: z.int(),
  looks: z.int(),
  flagged: z.boolean(),
  score: z.number(),
  alarmRate: z.number(),
  statistics: z
    .array(
      z.object({
        statistic: z.string(),
        test: z.string(),
        pValue: z.number(),
        level: z.number(),
        distance: z.number(),
      }),
    )
    .readonly(),
  at: z.string(),
})

export const jobRecord = z.object({
  id: z.string(),
  model: z.string(),
  status: z.enum(['queued', 'running', 'finished', 'failed']),
  spec: data,
  checkpoint: z.object({ sha256: z.string(), epoch: z.int() }).optional(),
  progress: data.optional(),
  result: data.optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
  worker: z.string().optional(),
  createdAt: at,
  updatedAt: at,
})

export const runStatus = z.enum(['scheduled', 'running', 'finished', 'failed', 'killed'])
const text = z.record(z.string().min(1).max(250), z.string().max(8_000))
export const runParams = text
export const runRecord = z.object({
  id: z.string(),
  experiment: z.string(),
  name: z.string(),
  status: runStatus,
  startedAt: at,
  endedAt: at.optional(),
  params: text.readonly(),
  tags: text.readonly(),
  metrics: z.record(z.string(), z.number()).readonly(),
})
export const metricKey = z.string().min(1).max(250)
export const metricPoint = z.object({ key: metricKey, value: z.number(), step: z.int(), at })

export const auditEntry = z.object({
  id: z.int(),
  at,
  actor: z.string(),
  address: z.string().optional(),
  requestId: z.string().optional(),
  action: z.string(),
  subject: z.string(),
  data,
})

const scope = { models: z.array(z.string()).readonly().optional(), devices: z.array(z.string()).readonly().optional() }
export const keyRecord = z.object({
  id: z.string(),
  name: z.string(),
  roles: z.array(z.enum(accessRoles)).readonly(),
  ...scope,
  createdAt: at,
  createdBy: z.string(),
  expiresAt: z.string().optional(),
  revokedAt: at.optional(),
  lastUsedAt: at.optional(),
})

export const wireInfo = z.object({
  transport: z.string(),
  mqttUrl: z.string().optional(),
  natsUrl: z.string().optional(),
})

export const modelParams = z.object({ model: idSchema })
export const versionParams = z.object({ model: idSchema, version: versionOrAlias })
export const aliasParams = z.object({ model: idSchema, alias: idSchema })
export const shaParams = z.object({ sha256: sha256Schema })
export const idParams = z.object({ id: idSchema })
export { blobRefSchema }
