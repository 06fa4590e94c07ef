import { jetstream } from '@nats-io/jetstream'
import {
  type CloudLink,
  codeOf,
  errors as coreErrors,
  deviceOf,
  type Logger,
  limits,
  parseJson,
  presenceSchema,
  readReported,
  silentLogger,
  subjects,
  toJsonBytes,
} from '@tideway/core'
import { type NatsAddress, openNats, publicUrl } from './connection.js'
import { latestConsumer, sharedConsumer } from './consumers.js'
import { isUnreachable, lastMessage } from './direct.js'
import { errors } from './errors.js'
import { followNats } from './follow.js'
import { pullForever } from './pull.js'
import { type AckedDevice, consumeReportStream } from './reports.js'
import { cloudStreams, ensureStream, refusalOf, streams } from './streams.js'

export interface CloudNatsOptions extends NatsAddress {
  readonly logger?: Logger
  /** Size of the chunk stream when it is created. Default 2 GiB. */
  readonly maxChunkBytes?: number
  /** Size of the report queue when it is created. Default 512 MiB. */
  readonly maxReportBytes?: number
  /** Replicas of streams when they are created. Default 1. */
  readonly replicas?: number
  /** After this time without a sign of life a report goes to another process. Default 30 s. */
  readonly ackWaitMs?: number
  /** Deliveries of one report before it is given up and counted. Default 20. */
  readonly maxDeliveries?: number
  /** For one request. Default 5 s. */
  readonly timeoutMs?: number
  readonly maxBackoffMs?: number
}

/**
 * The cloud's link over NATS with JetStream: desired state and chunks are published to streams that devices read by
 * direct get, reports come from a work queue shared by all cloud processes. Creates the streams it needs. Resolves once
 * connected; reconnects by itself until closed. Throws `LINK_UNAVAILABLE`, `JETSTREAM_UNAVAILABLE`,
 * `NATS_STREAM_UNUSABLE`.
 *
 * @example
 * const link = await connectCloudNats({ url: 'nats://127.0.0.1:4222' })
 * await link.putChunk(sha256, bytes)
 */
export async function connectCloudNats(options: CloudNatsOptions): Promise<CloudLink> {
  const { logger = silentLogger, ackWaitMs = 30_000, maxDeliveries = 20, timeoutMs = 5_000 } = options
  const { maxChunkBytes = 2 * 1024 ** 3, maxReportBytes = 512 * 1024 ** 2, replicas = 1 } = options
  const url = publicUrl(options.url)
  const connection = await openNats(options, { name: 'tideway-cloud', maxBackoffMs: options.maxBackoffMs ?? 2_000 })
  const js = jetstream(connection, { timeout: timeoutMs })
  try {
    const jsm = await js.jetstreamManager().catch((cause: unknown) => {
      throw errors.JETSTREAM_UNAVAILABLE({ url }, cause)
    })
    for (const stream of cloudStreams({ maxChunkBytes, maxReportBytes, replicas })) await ensureStream(jsm, stream)
  } catch (error) {
    await connection.close()
    throw error
  }

  const state = followNats(connection, logger)
  const stops = new Set<() => Promise<void>>()
  const dropped: Record<string, number> = {}
  let reportsReceived = 0
  const drop = (error: unknown, subject: string) => {
    const code = codeOf(error) ?? 'INTERNAL'
    dropped[code] = (dropped[code] ?? 0) + 1
    logger.warn('message dropped', { code, subject })
  }

  /** Publishes to a stream; what the server refuses is the caller's to judge. */
  async function publish(subject: string, bytes: Uint8Array): Promise<void> {
    try {
      await state.whileUp(js.publish(subject, bytes, { timeout: timeoutMs }))
    } catch (cause) {
      if (!state.connected() || isUnreachable(cause)) throw coreErrors.LINK_UNAVAILABLE({ url }, cause)
      throw cause
    }
  }

  function acknowledge(acks: readonly AckedDevice[]): void {
    // Core NATS: an acknowledgement that is lost is answered by the report coming again.
    for (const { fleet, device, ack } of acks)
      if (!connection.isClosed()) connection.publish(subjects.ack(fleet, device), toJsonBytes(ack))
  }

  const stoppable = (stop: () => Promise<void>) => {
    stops.add(stop)
    return async () => {
      stops.delete(stop)
      await stop()
    }
  }

  return {
    name: 'nats',
    flags: { carriesChunks: true, carriesDesired: true },
    async putChunk(sha256, bytes) {
      const subject = subjects.chunk(sha256)
      try {
        await publish(subject, bytes)
      } catch (error) {
        const refusal = refusalOf(error)
        if (refusal === 'exists') return
        if (refusal !== 'full') throw error
        // A full stream says so of a chunk that it has, too.
        const stored = await lastMessage(connection, {
          api: '$JS.API',
          stream: streams.chunks,
          subject,
          timeoutMs,
          url,
        })
        if (stored === undefined)
          throw coreErrors.CHUNK_STREAM_FULL({ stream: streams.chunks, bytes: bytes.byteLength }, error)
      }
    },
    publishDesired: ({ fleet, device }, desired) =>
      publish(
        device === undefined ? subjects.desiredDefault(fleet) : subjects.desiredDevice(fleet, device),
        toJsonBytes(desired),
      ),
    async consumeReports(handler) {
      const consumer = () =>
        sharedConsumer(js, { stream: streams.reports, name: 'reports', ackWaitMs, maxAckPending: 16_384 })
      await consumer()
      return stoppable(
        consumeReportStream({
          following: state,
          consumer,
          handler,
          acknowledge,
          onReceived: () => {
            reportsReceived += 1
          },
          onDropped: drop,
          ackWaitMs,
          maxDeliveries,
          logger,
        }),
      )
    },
    async watchReported(handler) {
      const stopping = new AbortController()
      const watching = pullForever({
        following: state,
        consumer: () => latestConsumer(js, streams.reported, subjects.reportedAll),
        room: async () => limits.maxReportsPerRequest,
        onMessage(message) {
          try {
            const source = deviceOf(message.subject)
            if (source) handler(readReported(message.data, source))
          } catch (error) {
            drop(error, message.subject)
          }
        },
        signal: stopping.signal,
        logger,
      })
      return stoppable(() => {
        stopping.abort()
        return watching
      })
    },
    async watchPresence(handler) {
      const subscription = connection.subscribe(subjects.presenceAll, {
        callback(error, message) {
          if (error) return logger.warn('presence cannot be watched', { error: error.message })
          try {
            const source = deviceOf(message.subject)
            const presence = parseJson(presenceSchema, message.data, 'presence', limits.maxDesiredBytes)
            if (source) handler({ fleet: source.fleet, device: source.device }, presence)
          } catch (cause) {
            drop(cause, message.subject)
          }
        },
      })
      await connection.flush()
      return stoppable(async () => subscription.unsubscribe())
    },
    stats: () => ({ connected: state.connected(), reportsReceived, reportsDropped: { ...dropped } }),
    async close() {
      await Promise.all([...stops].map((stop) => stop()))
      stops.clear()
      if (connection.isClosed()) return
      // What was published last goes out; a server that is away does not hold up the end.
      if (state.connected()) await connection.flush().catch(() => undefined)
      await connection.close()
    },
  }
}
