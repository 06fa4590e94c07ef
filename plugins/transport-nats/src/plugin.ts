import { type CloudLink, errors as coreErrors, definePlugin, publicUrl, tokens } from '@tideway/core'
import { z } from 'zod'
import { connectCloudNats } from './cloud.js'
import { connectJobQueue, type NatsJobQueue } from './jobs.js'

const optionsSchema = z.strictObject({
  url: z.string().min(1).default('nats://127.0.0.1:4222'),
  username: z.string().optional(),
  password: z.string().optional(),
  token: z.string().optional(),
  /** Contents of a `.creds` file. */
  creds: z.string().optional(),
  maxChunkBytes: z.int().positive().optional(),
  maxReportBytes: z.int().positive().optional(),
  replicas: z.int().min(1).max(5).optional(),
  /** For reports and jobs. */
  ackWaitMs: z.int().min(1_000).optional(),
})

/**
 * NATS as the cloud's transport: gives `tokens.cloudLink` and `tokens.jobQueue`, connected when the host has started,
 * and `tokens.wire`, by which devices learn where NATS is.
 *
 * @example
 * defineConfig({ plugins: [transportNats({ url: 'nats://nats.example:4222' })] })
 */
export const transportNats = definePlugin({
  name: 'transport-nats',
  host: '^0.1.0',
  provides: [tokens.cloudLink, tokens.jobQueue, tokens.wire],
  options: optionsSchema,
  register(scope, options) {
    let link: CloudLink | undefined
    let queue: NatsJobQueue | undefined
    const started = <T>(value: T | undefined): T => {
      if (value === undefined) throw coreErrors.LINK_UNAVAILABLE({ url: 'nats (not started)' })
      return value
    }
    // Others may hold these before the host has started; until then they throw LINK_UNAVAILABLE.
    scope.provide(tokens.cloudLink, () => ({
      name: 'nats',
      flags: { carriesChunks: true, carriesDesired: true },
      putChunk: async (sha256, bytes) => started(link).putChunk(sha256, bytes),
      publishDesired: async (target, desired) => started(link).publishDesired(target, desired),
      consumeReports: async (handler) => started(link).consumeReports(handler),
      watchReported: async (handler) => started(link).watchReported(handler),
      watchPresence: async (handler) => started(link).watchPresence(handler),
      stats: () => link?.stats() ?? { connected: false, reportsReceived: 0, reportsDropped: {} },
      close: async () => link?.close(),
    }))
    scope.provide(tokens.jobQueue, () => ({
      push: async (job) => started(queue).push(job),
      work: async (handler) => started(queue).work(handler),
    }))
    scope.provide(tokens.wire, () => ({ transport: 'nats', natsUrl: publicUrl(options.url) }))
    return {
      async start() {
        const logger = scope.has(tokens.logger) ? { logger: scope.get(tokens.logger) } : {}
        const { maxChunkBytes, maxReportBytes, ...shared } = options
        link = await connectCloudNats({ ...shared, ...logger, maxChunkBytes, maxReportBytes })
        try {
          queue = await connectJobQueue({ ...shared, ...logger })
        } catch (error) {
          await link.close()
          throw error
        }
      },
      async stop() {
        await queue?.close()
        await link?.close()
        queue = undefined
        link = undefined
      },
    }
  },
})
