import { type JetStreamClient, jetstream } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import {
  type Ack,
  ackSchema,
  checkId,
  codeOf,
  errors as coreErrors,
  type DesiredState,
  desiredSchema,
  type EdgeLink,
  type Logger,
  limits,
  parseJson,
  type ReportedState,
  type Rereader,
  silentLogger,
  startRereader,
  subjects,
  toJsonBytes,
} from '@tideway/core'
import { type NatsAddress, openNatsForever, publicUrl } from './connection.js'
import { lastMessage } from './direct.js'
import { errors } from './errors.js'
import { type Following, followNats } from './follow.js'
import { edgeInbox } from './permissions.js'
import { refusalOf, streams } from './streams.js'

export interface EdgeNatsOptions extends NatsAddress {
  readonly fleet: string
  readonly device: string
  /** JetStream domain of the streams, when the device's server is a leaf node: the hub's, or a mirror's own. */
  readonly domain?: string
  readonly logger?: Logger
  /** Desired state is read again this often, with jitter. Default 5 minutes. */
  readonly rereadEveryMs?: number
  readonly presenceEveryMs?: number
  /** For one request. Default 5 s. */
  readonly timeoutMs?: number
  readonly maxBackoffMs?: number
}

const MAX_ACK_BYTES = 4_096
/** A read of desired state that failed is tried again this soon. */
const RETRY_READ_MS = 2_000

interface Open {
  readonly connection: NatsConnection
  readonly js: JetStreamClient
  readonly following: Following
}

/**
 * A device's link over NATS: plain subscriptions, and direct gets from streams that need no cloud process to be up. It
 * has an inbox of its own (see `edgePermissions`). Connects in the background and for ever. Throws `NAME_INVALID`.
 *
 * @example
 * const link = connectEdgeNats({ url: 'nats://127.0.0.1:4222', fleet: 'shop', device: 'till-1' })
 * await link.watchDesired((desired) => console.log(desired.generation))
 */
export function connectEdgeNats(options: EdgeNatsOptions): EdgeLink {
  const fleet = checkId('fleet', options.fleet)
  const device = checkId('device', options.device)
  const { logger = silentLogger, timeoutMs = 5_000, maxBackoffMs = 2_000 } = options
  const { rereadEveryMs = 300_000, presenceEveryMs = 60_000 } = options
  const url = publicUrl(options.url)
  const api = options.domain === undefined ? '$JS.API' : `$JS.${options.domain}.API`
  const own = subjects.desiredDevice(fleet, device)
  const fallback = subjects.desiredDefault(fleet)

  const closing = new AbortController()
  const connectHandlers: (() => void)[] = []
  const ackHandlers = new Set<(ack: Ack) => void>()
  const desiredHandlers = new Set<(desired: DesiredState) => void>()
  let open: Open | undefined
  let reader: Rereader | undefined
  let unsentReported: ReportedState | undefined

  // The newest seen of each subject: generations only rise, and a mirror may lag behind a subscription.
  const newest = new Map<string, DesiredState>()
  let ownIsKnown = false
  let readFailed = false

  function note(subject: string, payload: Uint8Array): void {
    const desired = parseJson(desiredSchema, payload, 'desired state', limits.maxDesiredBytes)
    const before = newest.get(subject)
    if (!before || desired.generation >= before.generation) newest.set(subject, desired)
  }

  function give(): void {
    const desired = newest.get(own) ?? (ownIsKnown ? newest.get(fallback) : undefined)
    if (desired) for (const handler of desiredHandlers) handler(desired)
  }

  async function readDesired(signal: AbortSignal): Promise<void> {
    readFailed = false
    if (!open?.following.connected()) return
    try {
      for (const subject of [own, fallback]) {
        const { connection, following } = open
        const payload = await following.whileUp(
          lastMessage(connection, { api, stream: streams.desired, subject, timeoutMs, url }),
        )
        if (payload) note(subject, payload)
        if (payload && subject === own) break
      }
      ownIsKnown = true
      if (!signal.aborted) give()
    } catch (error) {
      readFailed = true
      if (!signal.aborted) logger.warn('desired state could not be read', { code: codeOf(error) })
    }
  }

  const need = (): Open => {
    if (!open?.following.connected()) throw coreErrors.LINK_UNAVAILABLE({ url })
    return open
  }
  async function publish(subject: string, payload: Uint8Array): Promise<void> {
    try {
      const { js, following } = need()
      await following.whileUp(js.publish(subject, payload, { timeout: timeoutMs }))
    } catch (cause) {
      if (refusalOf(cause) === 'full') throw errors.REPORT_STREAM_FULL({ stream: streams.reports }, cause)
      if (codeOf(cause) !== undefined) throw cause
      throw coreErrors.LINK_UNAVAILABLE({ url }, cause)
    }
  }
  const announce = (online: boolean) => {
    const presence = toJsonBytes({ v: 1, online, at: new Date().toISOString() })
    if (open?.following.connected()) open.connection.publish(subjects.presence(fleet, device), presence)
  }
  async function sendReported(): Promise<void> {
    const sending = unsentReported
    if (!sending) return
    try {
      await publish(subjects.reported(fleet, device), toJsonBytes(sending))
      if (unsentReported === sending) unsentReported = undefined
    } catch (error) {
      logger.debug('reported state waits for a connection', { code: codeOf(error) })
    }
  }
  const presenceTimer = setInterval(() => {
    announce(true)
    void sendReported()
  }, presenceEveryMs)

  function onConnected(): void {
    announce(true)
    void sendReported()
    reader?.trigger()
    for (const handler of connectHandlers) handler()
  }

  function subscribe(connection: NatsConnection, subject: string, handler: (payload: Uint8Array) => void): void {
    connection.subscribe(subject, {
      callback(error, message) {
        try {
          if (error) throw error
          handler(message.data)
        } catch (cause) {
          logger.warn('message dropped', { code: codeOf(cause), subject, error: String(cause) })
        }
      },
    })
  }

  async function start(): Promise<void> {
    const connection = await openNatsForever(options, {
      name: `tideway-edge ${fleet}/${device}`,
      inboxPrefix: edgeInbox(fleet, device),
      maxBackoffMs,
      logger,
      signal: closing.signal,
    })
    if (!connection) return
    for (const subject of [own, fallback])
      subscribe(connection, subject, (payload) => {
        note(subject, payload)
        give()
      })
    subscribe(connection, subjects.ack(fleet, device), (payload) => {
      const ack = parseJson(ackSchema, payload, 'acknowledgement', MAX_ACK_BYTES)
      for (const handler of ackHandlers) handler(ack)
    })
    const following = followNats(connection, logger)
    following.onReconnect(onConnected)
    open = { connection, js: jetstream(connection, { timeout: timeoutMs }), following }
    onConnected()
  }
  const started = start()

  return {
    name: 'nats',
    async watchDesired(handler) {
      desiredHandlers.add(handler)
      reader ??= startRereader(readDesired, () => (readFailed ? RETRY_READ_MS : rereadEveryMs))
      reader.trigger()
      return async () => {
        desiredHandlers.delete(handler)
      }
    },
    async fetchChunk(sha256, { signal, timeoutMs: chunkTimeoutMs = 30_000 } = {}) {
      signal?.throwIfAborted()
      const { connection, following } = need()
      const subject = subjects.chunk(sha256)
      const get = following.whileUp(
        lastMessage(connection, { api, stream: streams.chunks, subject, timeoutMs: chunkTimeoutMs, url }),
      )
      const bytes = await (signal ? Promise.race([get, aborted(signal)]) : get)
      if (bytes === undefined) throw coreErrors.CHUNK_NOT_FOUND({ sha256 })
      // A copy: what arrived is a view on the connection's larger buffer, which would be held for as long.
      return new Uint8Array(bytes)
    },
    async sendReport(envelope) {
      const payload = toJsonBytes(envelope)
      if (payload.byteLength > limits.maxReportBytes)
        throw coreErrors.TOO_LARGE({ what: 'report', bytes: payload.byteLength, maxBytes: limits.maxReportBytes })
      await publish(subjects.report(fleet, device), payload)
    },
    async watchAcks(handler) {
      ackHandlers.add(handler)
      return async () => {
        ackHandlers.delete(handler)
      }
    },
    async setReported(reported) {
      unsentReported = reported
      await sendReported()
    },
    connected: () => open?.following.connected() ?? false,
    onConnect(handler) {
      connectHandlers.push(handler)
    },
    async close() {
      clearInterval(presenceTimer)
      closing.abort()
      await reader?.stop()
      await started
      if (!open || open.connection.isClosed()) return
      announce(false)
      if (open.following.connected()) await open.connection.flush().catch(() => undefined)
      await open.connection.close()
    },
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
