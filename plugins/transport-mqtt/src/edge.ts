import {
  type Ack,
  ackSchema,
  checkId,
  codeOf,
  errors as coreErrors,
  type DesiredState,
  type EdgeLink,
  type Logger,
  limits,
  parseJson,
  type ReportedState,
  type Rereader,
  silentLogger,
  startRereader,
  subjects,
  topicOf,
} from '@tideway/core'
import { openConnection } from './connection.js'
import { cloudHttp } from './http.js'

const MAX_ACK_BYTES = 4096

export interface EdgeMqttOptions {
  /** HTTP address of the cloud: desired state and chunks come from there. */
  readonly cloudUrl: string
  readonly fleet: string
  readonly device: string
  /** Left out: asked of the cloud (`GET /v1/wire`) before every attempt to connect. */
  readonly mqttUrl?: string
  readonly password?: string
  /** Bearer token for HTTP. */
  readonly token?: string
  readonly logger?: Logger
  /** Desired state is read again this often, with jitter. Default 5 minutes. */
  readonly rereadEveryMs?: number
  /** The same while MQTT is not connected and no hint can arrive. Default 15 s. */
  readonly rereadOfflineEveryMs?: number
  readonly presenceEveryMs?: number
  /** For one HTTP exchange and one MQTT acknowledgement. Default 10 s. */
  readonly timeoutMs?: number
  readonly maxBackoffMs?: number
}

/**
 * A device's link over MQTT and HTTP. MQTT carries reports, acknowledgements and hints that desired state changed; what
 * is downloaded comes over HTTP, which also takes reports while MQTT cannot be reached. The MQTT user name and client id
 * are `<fleet>/<device>`. Throws `NAME_INVALID`.
 *
 * @example
 * const link = connectEdgeMqtt({ cloudUrl: 'http://127.0.0.1:4400', fleet: 'shop', device: 'till-1' })
 * await link.watchDesired((desired) => console.log(desired.generation))
 */
export function connectEdgeMqtt(options: EdgeMqttOptions): EdgeLink {
  const fleet = checkId('fleet', options.fleet)
  const device = checkId('device', options.device)
  const { logger = silentLogger, timeoutMs = 10_000, presenceEveryMs = 60_000 } = options
  const { rereadEveryMs = 300_000, rereadOfflineEveryMs = 15_000, maxBackoffMs = 10_000 } = options
  const topics = {
    report: topicOf(subjects.report(fleet, device)),
    reported: topicOf(subjects.reported(fleet, device)),
    presence: topicOf(subjects.presence(fleet, device)),
    ack: topicOf(subjects.ack(fleet, device)),
    hints: [subjects.desiredDevice(fleet, device), subjects.desiredDefault(fleet)].map(topicOf),
  }
  const identity = `${fleet}/${device}`
  const presence = (online: boolean) => JSON.stringify({ v: 1, online, at: new Date().toISOString() })
  const closing = new AbortController()
  const http = cloudHttp({ cloudUrl: options.cloudUrl, fleet, device, token: options.token, timeoutMs })

  let lastFound: string | undefined
  async function findMqtt(): Promise<string> {
    if (options.mqttUrl !== undefined) return options.mqttUrl
    try {
      lastFound = await http.mqttUrl(closing.signal)
    } catch (error) {
      // The broker may run where the cloud does not.
      if (lastFound === undefined) throw error
    }
    return lastFound
  }

  const connection = openConnection({
    url: findMqtt,
    mqtt: () => ({
      clientId: identity,
      username: identity,
      ...(options.password === undefined ? {} : { password: options.password }),
      keepalive: 30,
      will: { topic: topics.presence, payload: presence(false), qos: 0, retain: false },
    }),
    connectTimeoutMs: timeoutMs,
    maxBackoffMs,
    logger,
  })

  const connectHandlers: (() => void)[] = []
  const ackHandlers = new Set<(ack: Ack) => void>()
  const readers = new Set<Rereader>()
  let reported: ReportedState | undefined
  let wasReachable = false

  const publish = (topic: string, payload: string, qos: 0 | 1) => connection.publish(topic, payload, { qos, timeoutMs })
  const announce = () => void publish(topics.presence, presence(true), 0).catch(() => undefined)
  const presenceTimer = setInterval(announce, presenceEveryMs)

  const reread = () => {
    for (const reader of readers) reader.trigger()
  }
  const giveAck = (ack: Ack) => {
    for (const handler of ackHandlers) handler(ack)
  }

  // There is no connection yet: these take effect with the first, and with each after it.
  for (const topic of topics.hints) void connection.subscribe(topic, 1, reread)
  void connection.subscribe(topics.ack, 1, (_topic, payload) => {
    try {
      giveAck(parseJson(ackSchema, payload, 'acknowledgement', MAX_ACK_BYTES))
    } catch (error) {
      logger.warn('malformed acknowledgement dropped', { code: codeOf(error) })
    }
  })
  connection.onConnect(() => {
    announce()
    // Whoever listened while it was sent before may have missed it: the newest is sent again.
    if (reported) void publish(topics.reported, JSON.stringify(reported), 1).catch(() => undefined)
    reread()
    for (const handler of connectHandlers) handler()
  })

  async function readDesired(handler: (desired: DesiredState) => void, signal: AbortSignal): Promise<void> {
    try {
      const desired = await http.desired(signal)
      if (desired && !signal.aborted) handler(desired)
    } catch (error) {
      if (!signal.aborted) logger.warn('desired state could not be read', { code: codeOf(error), error: String(error) })
    }
    const back = http.reachable() && !wasReachable && !connection.connected()
    wasReachable = http.reachable()
    if (back && !signal.aborted) for (const notify of connectHandlers) notify()
  }

  return {
    name: 'mqtt',
    async watchDesired(handler) {
      const reader = startRereader(
        (signal) => readDesired(handler, signal),
        () => (connection.connected() ? rereadEveryMs : rereadOfflineEveryMs),
      )
      readers.add(reader)
      return () => {
        readers.delete(reader)
        return reader.stop()
      }
    },
    fetchChunk: (sha256, { signal, timeoutMs: chunkTimeoutMs = 30_000 } = {}) =>
      http.chunk(sha256, {
        signal: signal ? AbortSignal.any([signal, closing.signal]) : closing.signal,
        timeoutMs: chunkTimeoutMs,
      }),
    async sendReport(envelope) {
      const payload = JSON.stringify(envelope)
      const bytes = new TextEncoder().encode(payload).byteLength
      if (bytes > limits.maxReportBytes)
        throw coreErrors.TOO_LARGE({ what: 'report', bytes, maxBytes: limits.maxReportBytes })
      try {
        await publish(topics.report, payload, 1)
      } catch (error) {
        if (connection.connected()) throw error
        for (const ack of await http.report([envelope], closing.signal)) giveAck(ack)
      }
    },
    async watchAcks(handler) {
      ackHandlers.add(handler)
      return async () => {
        ackHandlers.delete(handler)
      }
    },
    async setReported(state) {
      reported = state
      try {
        if (connection.connected()) await publish(topics.reported, JSON.stringify(state), 1)
        else await http.setReported(state, closing.signal)
      } catch (error) {
        logger.debug('reported state waits for a connection', { code: codeOf(error) })
      }
    },
    connected: () => connection.connected() || http.reachable(),
    onConnect(handler) {
      connectHandlers.push(handler)
    },
    async close() {
      clearInterval(presenceTimer)
      await publish(topics.presence, presence(false), 0).catch(() => undefined)
      closing.abort(coreErrors.LINK_UNAVAILABLE({ url: 'a closed link' }))
      await Promise.all([...readers].map((reader) => reader.stop()))
      await connection.close()
    },
  }
}
