import { z } from 'zod'
import type { PluginUse } from '../plugin/plugin.js'
import { type CloudConfig, logLevels, requestLogs, roles } from './config.js'
import { httpLimitsSchema } from './http-limits.js'
import { servingConfigSchema } from './serving-schema.js'

const text = z.string().min(1)
const port = z.int().min(0).max(65_535)

const pluginUse = z.custom<PluginUse>((value) => typeof value === 'object' && value !== null && 'plugin' in value, {
  error: ({ input }) =>
    typeof input === 'function' ? 'is not called: write it with (), options within' : 'is no plugin',
})

/** Keys are rarely written into the file. */
function keyIssue(input: unknown): string {
  const key = typeof input === 'object' && input !== null ? (input as { key?: unknown }).key : input
  return key === undefined
    ? 'its key is missing; where it comes from a variable of the environment, that is not set'
    : 'must be a key, or an object with one: { key, name, roles }'
}

/** `tideway.config.ts`, field by field. What only a plugin can judge, as the options of its own, it judges itself. */
export const cloudConfigSchema: z.ZodType<CloudConfig> = z
  .strictObject({
    dir: text.optional(),
    roles: z.array(z.enum(roles)).readonly().optional(),
    http: z
      .strictObject({
        host: text.optional(),
        port: port.optional(),
        // What is a key, an origin or an address is judged by who uses it.
        apiKeys: z
          .array(z.union([z.string(), z.looseObject({ key: z.string() })], { error: ({ input }) => keyIssue(input) }))
          .readonly()
          .optional(),
        cors: z.looseObject({ origins: z.array(z.string()).readonly() }).optional(),
        trustedProxies: z.array(z.string()).readonly().optional(),
        stickyHeader: text.optional(),
        limits: httpLimitsSchema.optional(),
      })
      .optional(),
    access: z
      .strictObject({
        required: z.boolean().optional(),
        oidc: z.looseObject({ issuer: z.string(), audience: z.union([z.string(), z.array(z.string())]) }).optional(),
      })
      .optional(),
    grpc: z
      .strictObject({
        host: text.optional(),
        port: port.optional(),
        tls: z.strictObject({ cert: text, key: text, ca: text.optional() }).optional(),
      })
      .optional(),
    broker: z.strictObject({ host: text.optional(), port: port.optional() }).optional(),
    nats: z.strictObject({ url: text }).optional(),
    mqtt: z.strictObject({ url: text }).optional(),
    postgres: z.strictObject({ url: text.optional(), chunksDir: text.optional() }).optional(),
    cloud: z.strictObject({ url: z.url({ protocol: /^https?$/ }) }).optional(),
    drift: z.strictObject({ alarmRate: z.number().positive().max(0.5).optional() }).optional(),
    trainer: z.strictObject({ providers: z.array(text).min(1).readonly().optional() }).optional(),
    serving: servingConfigSchema.optional(),
    dataPlane: z
      .strictObject({ host: text.optional(), port: port.optional(), processes: z.int().min(1).max(256).optional() })
      .optional(),
    logs: z.strictObject({ level: z.enum(logLevels).optional(), requests: z.enum(requestLogs).optional() }).optional(),
    traces: z
      .strictObject({
        url: z.url({ protocol: /^https?$/ }).optional(),
        sampleRatio: z.number().min(0).max(1).optional(),
      })
      .optional(),
    plugins: z.array(pluginUse).readonly().optional(),
  })
  .refine(({ nats, mqtt }) => nats === undefined || mqtt === undefined, {
    path: ['mqtt'],
    message: 'give either nats or mqtt',
  })
