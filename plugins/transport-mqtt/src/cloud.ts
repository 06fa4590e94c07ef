import {
  type CloudLink,
  codeOf,
  deviceOf,
  type Logger,
  limits,
  parseJson,
  presenceSchema,
  type ReportSource,
  readReport,
  readReported,
  silentLogger,
  subjectOf,
  subjects,
  topicOf,
} from '@tideway/core'
import { type Connection, openConnection } from './connection.js'
import { type AckedDevice, createIntake } from './intake.js'

export interface CloudMqttOptions {
  readonly url: string
  readonly username?: string
  readonly password?: string
  readonly logger?: Logger
  /** Largest sum of reports held in memory while the handler is busy. Default 32 MiB. */
  readonly maxQueuedBytes?: number
  /** Attempts for one report before it is given up and counted. Default 20. */
  readonly maxDeliveries?: number
  readonly timeoutMs?: number
  readonly maxBackoffMs?: number
}

/**
 * The cloud's link over MQTT. It carries reports and acknowledgements, and hints for desired state, which devices then
 * read over HTTP with their chunks. Resolves once connected; reconnects by itself until closed. Throws
 * `LINK_UNAVAILABLE` when the first connection cannot be made in `timeoutMs` (default 10 s).
 *
 * @example
 * const link = await connectCloudMqtt({ url: 'mqtt://127.0.0.1:1883' })
 * await link.consumeReports(async (batch, at) => (await store.append(batch, at)).acks)
 */
export async function connectCloudMqtt(options: CloudMqttOptions): Promise<CloudLink> {
  const { logger = silentLogger, timeoutMs = 10_000, maxBackoffMs = 5_000 } = options
  const { maxQueuedBytes = 32 * 1024 ** 2, maxDeliveries = 20 } = options
  const id = crypto.randomUUID().slice(0, 8)
  const open = (role: string): Connection =>
    openConnection({
      url: () => options.url,
      mqtt: () => ({
        clientId: `tideway-cloud-${role}-${id}`,
        ...(options.username === undefined ? {} : { username: options.username }),
        ...(options.password === undefined ? {} : { password: options.password }),
        keepalive: 30,
      }),
      connectTimeoutMs: timeoutMs,
      maxBackoffMs,
      logger,
    })

  const control = open('control')
  // Reports come by a connection of their own: it is not read while the queue is full, which must not hold up the rest.
  let intakeConnection: Connection | undefined
  const stops = new Set<() => Promise<void>>()
  const dropped: Record<string, number> = {}
  let reportsReceived = 0
  const drop = (error: unknown, topic: string) => {
    const code = codeOf(error) ?? 'INTERNAL'
    dropped[code] = (dropped[code] ?? 0) + 1
    logger.warn('message dropped', { code, topic })
  }

  // Hints that could not be sent; the newest of each topic is sent with the next connection.
  const hints = new Map<string, string>()
  async function hint(topic: string, payload: string): Promise<void> {
    try {
      await control.publish(topic, payload, { qos: 1, timeoutMs })
      if (hints.get(topic) === payload) hints.delete(topic)
    } catch (error) {
      hints.set(topic, payload)
      logger.debug('a hint waits for a connection', { code: codeOf(error), topic })
    }
  }
  control.onConnect(() => {
    for (const [topic, payload] of hints) void hint(topic, payload)
  })

  function acknowledge(acks: readonly AckedDevice[]): void {
    for (const { fleet, device, ack } of acks) {
      // Not repeated when lost: the device sends the report again and is answered then.
      control
        .publish(topicOf(subjects.ack(fleet, device)), JSON.stringify(ack), { qos: 0, timeoutMs })
        .catch((error: unknown) => logger.debug('an acknowledgement was lost', { code: codeOf(error), fleet, device }))
    }
  }

  async function watch(
    connection: Connection,
    all: string,
    handler: (source: ReportSource, payload: Uint8Array) => void | Promise<void>,
  ): Promise<() => Promise<void>> {
    const off = await connection.subscribe(topicOf(all), 1, async (topic, payload) => {
      try {
        const source = deviceOf(subjectOf(topic))
        if (source) await handler(source, payload)
      } catch (error) {
        drop(error, topic)
      }
    })
    stops.add(off)
    return async () => {
      stops.delete(off)
      await off()
    }
  }

  const link: CloudLink = {
    name: 'mqtt',
    flags: { carriesChunks: false, carriesDesired: false },
    putChunk: async () => undefined,
    publishDesired: ({ fleet, device }, { v, generation }) =>
      hint(
        topicOf(device === undefined ? subjects.desiredDefault(fleet) : subjects.desiredDevice(fleet, device)),
        JSON.stringify({ v, generation }),
      ),
    async consumeReports(handler) {
      intakeConnection ??= open('reports')
      const intake = createIntake({
        handler,
        acknowledge,
        giveUp: (error) => drop(error, subjects.reportAll),
        maxQueuedBytes,
        maxDeliveries,
        maxBackoffMs,
        logger,
      })
      await intakeConnection.ready(timeoutMs)
      const off = await watch(intakeConnection, subjects.reportAll, async (source, payload) => {
        const envelope = readReport(payload, source)
        reportsReceived += 1
        await intake.offer(envelope, payload.byteLength)
      })
      const stop = () => intake.stop()
      stops.add(stop)
      return async () => {
        stops.delete(stop)
        await stop()
        await off()
      }
    },
    watchReported: (handler) =>
      watch(control, subjects.reportedAll, (source, payload) => handler(readReported(payload, source))),
    watchPresence: (handler) =>
      watch(control, subjects.presenceAll, ({ fleet, device }, payload) =>
        handler({ fleet, device }, parseJson(presenceSchema, payload, 'presence', limits.maxDesiredBytes)),
      ),
    stats: () => ({
      connected: control.connected() && (intakeConnection?.connected() ?? true),
      reportsReceived,
      reportsDropped: { ...dropped },
    }),
    async close() {
      await Promise.all([...stops].map((stop) => stop()))
      await Promise.all([control.close(), intakeConnection?.close()])
    },
  }
  try {
    await control.ready(timeoutMs)
  } catch (error) {
    await control.close()
    throw error
  }
  return link
}
