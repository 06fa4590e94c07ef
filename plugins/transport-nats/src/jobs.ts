import { type JsMsg, jetstream } from '@nats-io/jetstream'
import {
  backoffMs,
  checkId,
  codeOf,
  errors as coreErrors,
  idSchema,
  type JobQueue,
  type Logger,
  narrow,
  parseJson,
  type QueuedJob,
  silentLogger,
  toJsonBytes,
} from '@tideway/core'
import { z } from 'zod'
import { type ClaimKeeper, startClaimKeeper } from './claim.js'
import { type NatsAddress, openNats, publicUrl } from './connection.js'
import { sharedConsumer } from './consumers.js'
import { isUnreachable } from './direct.js'
import { errors } from './errors.js'
import { followNats } from './follow.js'
import { pullForever } from './pull.js'
import { ensureStream, jobStream, jobSubject, refusalOf, streams } from './streams.js'

export interface JobQueueOptions extends NatsAddress {
  readonly logger?: Logger
  /** A worker silent for this long has lost its job to another. Default 30 s; signs of life go out at a sixth of it. */
  readonly ackWaitMs?: number
  /**
   * A worker whose event loop stands still for so long has lost its job as well, though its claim is renewed by another
   * thread. Default 10 minutes.
   */
  readonly maxBlockedMs?: number
  /** Deliveries of one job before it is given up and counted; a worker that stops never uses up the last. Default 10. */
  readonly maxDeliveries?: number
  /** A job that failed waits before its next delivery: 0.8 s, doubling up to this. Default 60 s: 3 minutes for all. */
  readonly maxRetryMs?: number
  readonly replicas?: number
  readonly timeoutMs?: number
  readonly maxBackoffMs?: number
}

export interface NatsJobQueue extends JobQueue {
  stats(): { readonly connected: boolean; readonly deadLettered: number }
  close(): Promise<void>
}

const jobSchema = z.looseObject({ id: idSchema })
const MAX_JOB_BYTES = 64 * 1024

/**
 * Jobs for trainer nodes on a JetStream work queue. A job that is queued or being worked on is there once, however often
 * it is pushed. Throws `LINK_UNAVAILABLE`, `JETSTREAM_UNAVAILABLE`, `NATS_STREAM_UNUSABLE`.
 *
 * @example
 * const queue = await connectJobQueue({ url: 'nats://127.0.0.1:4222' })
 * await queue.work(async (job, signal) => train(job.id, signal))
 */
export async function connectJobQueue(options: JobQueueOptions): Promise<NatsJobQueue> {
  const { logger = silentLogger, ackWaitMs = 30_000, maxDeliveries = 10, timeoutMs = 5_000 } = options
  const { maxRetryMs = 60_000, maxBlockedMs = 600_000 } = options
  const { url: address, username, password, token, creds, tls } = options
  const url = publicUrl(options.url)
  const connection = await openNats(options, { name: 'tideway-jobs', maxBackoffMs: options.maxBackoffMs ?? 2_000 })
  const js = jetstream(connection, { timeout: timeoutMs })
  try {
    const jsm = await js.jetstreamManager().catch((cause: unknown) => {
      throw errors.JETSTREAM_UNAVAILABLE({ url }, cause)
    })
    await ensureStream(jsm, jobStream(options.replicas ?? 1))
  } catch (error) {
    await connection.close()
    throw error
  }
  const state = followNats(connection, logger)
  const stops = new Set<() => Promise<void>>()
  let deadLettered = 0

  function giveUp(message: JsMsg, job: string, why: unknown): void {
    message.term()
    deadLettered += 1
    const { deliveryCount: deliveries } = message.info
    logger.error('a job was given up', { job, deliveries, code: codeOf(why), error: String(why) })
  }

  /**
   * Keeps the claim on a job while `run` runs; fires its signal when the claim may have been lost. Two renew it: this
   * event loop, and the keeper's, which goes on while work holds this one.
   */
  async function claimed(
    message: JsMsg,
    job: string,
    { stop, keeper }: { readonly stop: AbortSignal; readonly keeper: ClaimKeeper },
    run: (signal: AbortSignal) => Promise<void>,
  ) {
    const lost = new AbortController()
    let renewedAt = Date.now()
    keeper.hold(replyOf(message))
    const heartbeat = setInterval(() => {
      keeper.alive()
      if (Date.now() - Math.max(renewedAt, keeper.renewedAt()) > ackWaitMs) lost.abort(errors.JOB_LOST({ job }))
      if (!state.connected()) return
      message.working()
      const sentAt = Date.now()
      connection.flush().then(
        () => {
          renewedAt = sentAt
        },
        () => undefined,
      )
    }, ackWaitMs / 6)
    try {
      await run(AbortSignal.any([stop, lost.signal]))
    } finally {
      clearInterval(heartbeat)
      keeper.release()
    }
  }

  async function handle(
    message: JsMsg,
    handler: Parameters<JobQueue['work']>[0],
    worker: { readonly stop: AbortSignal; readonly keeper: ClaimKeeper },
  ): Promise<void> {
    let job: QueuedJob
    try {
      job = parseJson(jobSchema, message.data, 'job', MAX_JOB_BYTES)
    } catch (error) {
      return giveUp(message, message.subject, error)
    }
    const { deliveryCount } = message.info
    if (deliveryCount > maxDeliveries) return giveUp(message, job.id, new Error('its workers ended without a word'))
    try {
      await claimed(message, job.id, worker, (signal) => handler(job, signal))
      await message.ackAck({ timeout: timeoutMs })
    } catch (error) {
      logger.warn('a job failed', { job: job.id, delivery: deliveryCount, error: String(error) })
      // Whoever stops hands its job on at once; a failure waits.
      if (worker.stop.aborted) await handOn(message, job)
      else if (deliveryCount >= maxDeliveries) giveUp(message, job.id, error)
      else message.nak(backoffMs(deliveryCount + 1, maxRetryMs))
    }
  }

  /** A stop is no failure of the job, but counts as a delivery: in place of the last one the job is queued anew. */
  async function handOn(message: JsMsg, job: QueuedJob): Promise<void> {
    if (message.info.deliveryCount < maxDeliveries) return message.nak()
    try {
      // In this order, as the stream holds one of a job; should the second fail, whoever keeps the jobs pushes it again.
      await message.ackAck({ timeout: timeoutMs })
      await push(job)
    } catch (error) {
      logger.error('a job was not handed on', { job: job.id, code: codeOf(error), error: String(error) })
    }
  }

  async function push(job: QueuedJob): Promise<void> {
    const { id } = narrow(jobSchema, job, 'job')
    try {
      await state.whileUp(js.publish(jobSubject(checkId('job', id)), toJsonBytes({ id }), { timeout: timeoutMs }))
    } catch (cause) {
      if (refusalOf(cause) === 'exists') return
      if (!state.connected() || isUnreachable(cause)) throw coreErrors.LINK_UNAVAILABLE({ url }, cause)
      throw errors.NATS_STREAM_UNUSABLE({ stream: streams.jobs, reason: String(cause) }, cause)
    }
  }

  return {
    push,
    async work(handler) {
      const stopping = new AbortController()
      let busy: Promise<void> | undefined
      const consumer = () =>
        sharedConsumer(js, { stream: streams.jobs, name: 'trainers', ackWaitMs, maxAckPending: 1_024 })
      await consumer()
      const keeper = await startClaimKeeper(
        {
          address: { url: address, username, password, token, creds, tls },
          everyMs: ackWaitMs / 6,
          maxBlockedMs,
        },
        logger,
      )
      const pulling = pullForever({
        following: state,
        consumer,
        async room() {
          await busy
          return 1
        },
        onMessage(message) {
          busy = handle(message, handler, { stop: stopping.signal, keeper })
        },
        signal: stopping.signal,
        logger,
      })
      const stop = async () => {
        stopping.abort()
        try {
          await pulling
          await busy
        } finally {
          // Its thread would go on renewing a claim that nobody works on.
          await keeper.close()
        }
      }
      stops.add(stop)
      return async () => {
        stops.delete(stop)
        await stop()
      }
    },
    stats: () => ({ connected: state.connected(), deadLettered }),
    async close() {
      await Promise.all([...stops].map((stop) => stop()))
      stops.clear()
      if (connection.isClosed()) return
      if (state.connected()) await connection.flush().catch(() => undefined)
      await connection.close()
    },
  }
}

/** The subject that acknowledges a message: the library's class tells it, its type does not. */
function replyOf(message: JsMsg): string | undefined {
  return 'reply' in message && typeof message.reply === 'string' ? message.reply : undefined
}
