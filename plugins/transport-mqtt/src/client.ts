import { errors as coreErrors, within } from '@tideway/core'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { errors } from './errors.js'

/** Called with the payload of each message; the next packet is not read before the promise resolves. */
export type MessageHandler = (topic: string, payload: Uint8Array) => void | Promise<void>

/** One MQTT connection from its CONNACK to its end; reconnecting is for who opened it. */
export interface Client {
  readonly url: string
  /** Resolves when the connection is gone, for whatever reason. */
  readonly closed: Promise<void>
  connected(): boolean
  publish(topic: string, payload: string, qos: 0 | 1, timeoutMs: number): Promise<void>
  subscribe(filter: string, qos: 0 | 1): Promise<void>
  unsubscribe(filter: string): Promise<void>
  end(): Promise<void>
}

/** The address without user name and password. */
export function publicUrl(url: string): string {
  try {
    const parsed = new URL(url)
    parsed.username = ''
    parsed.password = ''
    return parsed.href
  } catch {
    return 'an address that is not a URL'
  }
}

/**
 * Connects once, as MQTT 3.1.1 with a clean session (what NATS's listener speaks too). Throws `LINK_UNAVAILABLE`.
 * `onMessage` gets every message; while its promise is pending nothing more is read, pings included.
 */
export async function openClient(
  url: string,
  options: IClientOptions,
  connectTimeoutMs: number,
  onMessage: MessageHandler,
  signal: AbortSignal,
): Promise<Client> {
  const shownUrl = publicUrl(url)
  const unavailable = (cause?: unknown) => coreErrors.LINK_UNAVAILABLE({ url: shownUrl }, cause)
  let client: MqttClient
  try {
    client = mqtt.connect(url, {
      ...options,
      protocolVersion: 4,
      clean: true,
      reconnectPeriod: 0,
      resubscribe: false,
      queueQoSZero: false,
      connectTimeout: connectTimeoutMs,
    })
  } catch (cause) {
    throw unavailable(cause)
  }
  client.handleMessage = (packet, readOn) => {
    const { topic, payload } = packet
    const bytes = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload
    Promise.resolve(onMessage(topic, bytes)).then(
      () => readOn(),
      () => readOn(),
    )
  }
  // A report and its acknowledgement are small packets: waiting to fill a segment costs each 40 ms. Not in a browser.
  const { stream } = client
  if ('setNoDelay' in stream && typeof stream.setNoDelay === 'function') stream.setNoDelay(true)
  let lastError: unknown
  client.on('error', (error) => {
    lastError = error
  })
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()))
  // Ending also rejects the publishes in flight, which would otherwise wait for a reconnection.
  void closed.then(() => client.end(true))
  let giveUp = (): void => undefined
  const connected = new Promise<void>((resolve, reject) => {
    client.once('connect', () => resolve())
    giveUp = () => reject(unavailable(signal.reason))
    void closed.then(() => reject(lastError))
  })
  signal.addEventListener('abort', giveUp)
  try {
    signal.throwIfAborted()
    await within(connected, connectTimeoutMs, unavailable)
  } catch (cause) {
    client.end(true)
    throw unavailable(cause)
  } finally {
    signal.removeEventListener('abort', giveUp)
  }

  return {
    url: shownUrl,
    closed,
    connected: () => client.connected,
    async publish(topic, payload, qos, timeoutMs) {
      if (!client.connected) throw unavailable()
      try {
        await within(client.publishAsync(topic, payload, { qos }), timeoutMs, unavailable)
      } catch (cause) {
        throw unavailable(cause)
      }
    },
    async subscribe(filter, qos) {
      const granted = await within(client.subscribeAsync(filter, { qos }), connectTimeoutMs, unavailable).catch(
        (cause: unknown) => {
          if (!client.connected) throw unavailable(cause)
          throw errors.MQTT_SUBSCRIPTION_REFUSED({ url: shownUrl, topic: filter }, cause)
        },
      )
      if (granted.some((grant) => grant.qos === 128))
        throw errors.MQTT_SUBSCRIPTION_REFUSED({ url: shownUrl, topic: filter })
    },
    async unsubscribe(filter) {
      if (client.connected) await within(client.unsubscribeAsync(filter), connectTimeoutMs, unavailable)
    },
    async end() {
      if (!client.connected) return
      // Politely first, so that the broker does not send the will; then for certain.
      await within(client.endAsync(), 1_000, unavailable).catch(() => client.end(true))
    },
  }
}
