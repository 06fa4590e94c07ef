import { backoffMs, codeOf, errors as coreErrors, type Logger, sleep, type Unsubscribe, within } from '@tideway/core'
import type { IClientOptions } from 'mqtt'
import { type Client, type MessageHandler, openClient, publicUrl } from './client.js'

export interface ConnectionOptions {
  /** Asked before every attempt, so that an address that changed is found again. */
  readonly url: () => string | Promise<string>
  /** Asked before every attempt: the embedded broker makes new credentials with each start. */
  readonly mqtt: () => IClientOptions
  readonly connectTimeoutMs: number
  readonly maxBackoffMs: number
  readonly logger: Logger
}

/** An MQTT connection that comes back for as long as it is open, with its subscriptions. */
export interface Connection {
  /** The address last tried, without credentials. */
  readonly url: string
  connected(): boolean
  /** Resolves once connected and subscribed; throws `LINK_UNAVAILABLE` after `timeoutMs`. */
  ready(timeoutMs: number): Promise<void>
  /** Rejects with `LINK_UNAVAILABLE` when not connected, or when QoS 1 is not acknowledged in time. */
  publish(topic: string, payload: string, options: { qos: 0 | 1; timeoutMs: number }): Promise<void>
  /** One handler a filter. Resolves when subscribed, or at once while there is no connection. */
  subscribe(filter: string, qos: 0 | 1, handler: MessageHandler): Promise<Unsubscribe>
  /** Called after every connection, once its subscriptions are in place. */
  onConnect(handler: () => void): void
  close(): Promise<void>
}

/** A connection that held this long was a good one: the next failure starts the backoff anew. */
const STABLE_MS = 5_000

export function openConnection(options: ConnectionOptions): Connection {
  const { logger } = options
  const closing = new AbortController()
  const subscriptions = new Map<string, { qos: 0 | 1; handler: MessageHandler }>()
  const connectHandlers: (() => void)[] = []
  const running = new Set<Promise<void>>()
  let current: Client | undefined
  let shownUrl = '(not known yet)'

  async function dispatch(topic: string, payload: Uint8Array): Promise<void> {
    for (const [filter, { handler }] of subscriptions) {
      if (!topicMatches(filter, topic)) continue
      const run = Promise.resolve(handler(topic, payload)).catch((error: unknown) => {
        logger.error('MQTT message handler failed', { topic, error: String(error) })
      })
      running.add(run)
      await run
      running.delete(run)
    }
  }

  async function hold(): Promise<number> {
    const url = await options.url()
    shownUrl = publicUrl(url)
    const client = await openClient(url, options.mqtt(), options.connectTimeoutMs, dispatch, closing.signal)
    const since = Date.now()
    const end = () => void client.end()
    closing.signal.addEventListener('abort', end)
    try {
      await Promise.all([...subscriptions].map(([filter, { qos }]) => client.subscribe(filter, qos)))
      current = client
      logger.info('MQTT connected', { url: shownUrl })
      for (const handler of connectHandlers) handler()
      await client.closed
      logger.info('MQTT connection lost', { url: shownUrl })
    } finally {
      current = undefined
      closing.signal.removeEventListener('abort', end)
      await client.end()
    }
    return Date.now() - since
  }

  async function run(): Promise<void> {
    let failures = 0
    while (!closing.signal.aborted) {
      try {
        if ((await hold()) >= STABLE_MS) failures = 0
      } catch (error) {
        if (closing.signal.aborted) return
        logger.warn('MQTT connection failed', { url: shownUrl, code: codeOf(error), error: String(error) })
      }
      await sleep(backoffMs(failures, options.maxBackoffMs), closing.signal)
      failures += 1
    }
  }

  const connectedOnce = new Promise<void>((resolve) => connectHandlers.push(resolve))
  const done = run()

  return {
    get url() {
      return shownUrl
    },
    connected: () => current?.connected() ?? false,
    ready: (timeoutMs) => within(connectedOnce, timeoutMs, () => coreErrors.LINK_UNAVAILABLE({ url: shownUrl })),
    async publish(topic, payload, { qos, timeoutMs }) {
      if (!current) throw coreErrors.LINK_UNAVAILABLE({ url: shownUrl })
      await current.publish(topic, payload, qos, timeoutMs)
    },
    async subscribe(filter, qos, handler) {
      const own = { qos, handler }
      subscriptions.set(filter, own)
      try {
        await current?.subscribe(filter, qos)
      } catch (error) {
        // Without a connection it is made with the next one.
        if (codeOf(error) !== 'LINK_UNAVAILABLE') {
          subscriptions.delete(filter)
          throw error
        }
      }
      return async () => {
        if (subscriptions.get(filter) !== own) return
        subscriptions.delete(filter)
        await current?.unsubscribe(filter).catch(() => undefined)
        await Promise.all(running)
      }
    },
    onConnect(handler) {
      connectHandlers.push(handler)
    },
    async close() {
      closing.abort()
      await done
    },
  }
}

/** MQTT 3.1.1, section 4.7: `+` is one level, a trailing `#` any number. */
export function topicMatches(filter: string, topic: string): boolean {
  const want = filter.split('/')
  const have = topic.split('/')
  for (const [index, level] of want.entries()) {
    if (level === '#') return true
    if (level !== '+' && level !== have[index]) return false
    if (index >= have.length) return false
  }
  return want.length === have.length
}
