import { type Broker, type CloudLink, errors as coreErrors, definePlugin, publicUrl, tokens } from '@tideway/core'
import { z } from 'zod'
import { type CloudMqttOptions, connectCloudMqtt } from './cloud.js'
import { errors } from './errors.js'

const optionsSchema = z.strictObject({
  /** Left out: the broker in this process. */
  url: z.string().min(1).optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  maxQueuedBytes: z.int().positive().optional(),
  maxDeliveries: z.int().positive().optional(),
})

/**
 * MQTT as the cloud's transport: gives `tokens.cloudLink`, connected when the host has started, and `tokens.wire`, by
 * which devices learn where the broker is. Without a URL it needs a broker in this process: add `brokerAedes()`.
 *
 * @example
 * defineConfig({ plugins: [transportMqtt({ url: 'mqtt://broker.example:1883', username: 'tideway-cloud' })] })
 */
export const transportMqtt = definePlugin({
  name: 'transport-mqtt',
  host: '^0.1.0',
  provides: [tokens.cloudLink, tokens.wire],
  wants: [tokens.broker, tokens.logger],
  options: optionsSchema,
  register(scope, options) {
    let link: CloudLink | undefined
    scope.provide(tokens.cloudLink, () => deferred(() => link))
    scope.provide(tokens.wire, () => ({
      transport: 'mqtt',
      get mqttUrl() {
        const { url } = options
        return url === undefined ? embeddedBroker()?.url : publicUrl(url)
      },
    }))
    return {
      async start() {
        const logger = scope.has(tokens.logger) ? { logger: scope.get(tokens.logger) } : {}
        link = await connectCloudMqtt({ ...address(), ...logger })
      },
      async stop() {
        await link?.close()
        link = undefined
      },
    }

    function embeddedBroker(): Broker | undefined {
      return scope.has(tokens.broker) ? scope.get(tokens.broker) : undefined
    }

    function address(): CloudMqttOptions {
      const { url, ...rest } = options
      if (url !== undefined) return { url, ...rest }
      const broker = embeddedBroker()
      if (broker?.url === undefined) throw errors.MQTT_BROKER_MISSING({})
      return { ...rest, ...broker.cloudCredentials, url: broker.url }
    }
  },
})

/** A link that others may hold before the host has started; its methods throw `LINK_UNAVAILABLE` until then. */
function deferred(current: () => CloudLink | undefined): CloudLink {
  const link = async (): Promise<CloudLink> => {
    const started = current()
    if (!started) throw coreErrors.LINK_UNAVAILABLE({ url: 'mqtt (not started)' })
    return started
  }
  return {
    name: 'mqtt',
    flags: { carriesChunks: false, carriesDesired: false },
    putChunk: async (sha256, bytes) => (await link()).putChunk(sha256, bytes),
    publishDesired: async (target, desired) => (await link()).publishDesired(target, desired),
    consumeReports: async (handler) => (await link()).consumeReports(handler),
    watchReported: async (handler) => (await link()).watchReported(handler),
    watchPresence: async (handler) => (await link()).watchPresence(handler),
    stats: () => current()?.stats() ?? { connected: false, reportsReceived: 0, reportsDropped: {} },
    async close() {
      await current()?.close()
    },
  }
}
