import { definePlugin, tokens } from '@tideway/core'
import { z } from 'zod'
import { type AuthenticateDevice, type EmbeddedBroker, startBroker } from './broker.js'

const optionsSchema = z.strictObject({
  host: z.string().min(1).default('127.0.0.1'),
  /** 0: any free port, which devices learn from `GET /v1/wire`. */
  port: z.int().min(0).max(65_535).default(1883),
  maxPacketBytes: z.int().positive().optional(),
  maxConnections: z.int().positive().optional(),
  authenticateDevice: z
    .custom<AuthenticateDevice>((value) => typeof value === 'function', 'must be a function')
    .optional(),
})

/**
 * The embedded MQTT broker as a plugin: gives `tokens.broker`, in the cloud process instead of its own.
 *
 * @example
 * defineConfig({ plugins: [brokerAedes({ port: 1884 })] })
 */
export const brokerAedes = definePlugin({
  name: 'broker-aedes',
  host: '^0.1.0',
  provides: [tokens.broker],
  options: optionsSchema,
  register(scope, options) {
    let broker: EmbeddedBroker | undefined
    scope.provide(tokens.broker, () => ({
      get url() {
        return broker?.url
      },
      get cloudCredentials() {
        return broker?.cloudCredentials
      },
    }))
    return {
      async start() {
        const logger = scope.has(tokens.logger) ? { logger: scope.get(tokens.logger) } : {}
        broker = await startBroker({ ...options, ...logger })
      },
      async stop() {
        await broker?.close()
        broker = undefined
      },
    }
  },
})
