import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { type JobQueue, silentLogger } from '@tideway/core'
import { jobQueueContract } from '@tideway/test/contract/job-queue'
import { startNats, type TestNats } from '@tideway/test/support/nats'
import { eventually } from '@tideway/test/support/process'
import { startProxy, type TestProxy } from '@tideway/test/support/proxy'
import { describeWithServer } from '@tideway/test/support/servers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startClaimKeeper } from './claim.js'
import { connectJobQueue, type NatsJobQueue } from './jobs.js'
import { jobSubject, streams } from './streams.js'

/** Where a test waits for a claim to end, or holds one: long enough that a busy machine does not end it. */
const claimMs = 2_000

describeWithServer('nats-server', 'jobs on NATS', (path) => {
  let nats: TestNats
  beforeAll(async () => {
    nats = await startNats(path)
  })
  afterAll(() => nats?.close())

  const deleteStream = async () => {
    const connection = await connect({ servers: nats.url })
    const jsm = await jetstreamManager(connection)
    await jsm.streams.delete(streams.jobs)
    await connection.close()
  }

  jobQueueContract('NATS', {
    async setup() {
      const ends = new Map<JobQueue, { queue: NatsJobQueue; proxy: TestProxy }>()
      return {
        claimMs,
        async open(claims) {
          const proxy = await startProxy(Number(new URL(nats.url).port))
          const url = `nats://127.0.0.1:${proxy.port}`
          const queue = await connectJobQueue({ url, ackWaitMs: claims === 'short' ? claimMs : undefined })
          ends.set(queue, { queue, proxy })
          return queue
        },
        vanish: async (queue) => ends.get(queue)?.proxy.cut(),
        async close() {
          await Promise.all([...ends.values()].map(({ queue }) => queue.close()))
          await Promise.all([...ends.values()].map(({ proxy }) => proxy.close()))
          await deleteStream()
        },
      }
    },
  })

  it('gives up a job after its last delivery, and counts it', async () => {
    const queue = await connectJobQueue({ url: nats.url, maxDeliveries: 2 })
    let attempts = 0
    await queue.work(async () => {
      attempts += 1
      throw new Error('never')
    })
    await queue.push({ id: 'hopeless' })
    await eventually('it is given up', () => queue.stats().deadLettered === 1)
    expect(attempts).toBe(2)
    // Off the queue, as soon as the server has taken that in: the same id can be pushed again.
    await eventually('it is tried again', async () => {
      await queue.push({ id: 'hopeless' })
      return attempts > 2
    })
    await queue.close()
    await deleteStream()
  })

  it('does not give up a job that fails more often than a few times in a row', async () => {
    const queue = await connectJobQueue({ url: nats.url, maxRetryMs: 20 })
    let attempts = 0
    await queue.work(async () => {
      attempts += 1
      if (attempts < 8) throw new Error('not yet')
    })
    await queue.push({ id: 'stubborn' })
    await eventually('the eighth attempt', () => attempts >= 8)
    expect(queue.stats().deadLettered).toBe(0)
    await queue.close()
    await deleteStream()
  })

  it('does not count a stopping worker against its job, however many stop', async () => {
    const queue = await connectJobQueue({ url: nats.url, maxDeliveries: 2 })
    await queue.push({ id: 'handed-on' })
    for (let restart = 0; restart < 5; restart += 1) {
      let started = false
      const stop = await queue.work(async (_job, signal) => {
        started = true
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        signal.throwIfAborted()
      })
      await eventually(`start ${restart + 1}`, () => started)
      await stop()
    }
    const done: string[] = []
    await queue.work(async ({ id }) => void done.push(id))
    await eventually('it is done', () => done.includes('handed-on'))
    expect(queue.stats().deadLettered).toBe(0)
    await queue.close()
    await deleteStream()
  })

  /** As a long operator does: no timer and no answer is handled until it is over. */
  const blockFor = (ms: number) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)

  it('leaves a job with a worker whose event loop is held for longer than its claim lasts', async () => {
    const open = () => connectJobQueue({ url: nats.url, ackWaitMs: claimMs })
    const queues = [await open(), await open()]
    const starts: string[] = []
    const signals: AbortSignal[] = []
    for (const queue of queues)
      await queue.work(async ({ id }, signal) => {
        starts.push(id)
        signals.push(signal)
        for (let step = 0; id === 'heavy' && step < 2; step += 1) {
          blockFor(1.5 * claimMs)
          // What came in meanwhile is handled, and a timer or two.
          await new Promise((resolve) => setTimeout(resolve, claimMs / 4))
          expect(signal.aborted).toBe(false)
        }
      })
    await queues[0]?.push({ id: 'heavy' })
    await eventually('it started', () => starts.length === 1)
    await queues[0]?.push({ id: 'after' })
    await eventually('the next one was done', () => starts.includes('after'))
    expect(starts).toEqual(['heavy', 'after'])
    for (const queue of queues) {
      expect(queue.stats().deadLettered).toBe(0)
      await queue.close()
    }
    await deleteStream()
  })

  it('takes a job from a worker whose event loop is held for too long, though another thread renews its claim', async () => {
    const queue = await connectJobQueue({ url: nats.url, ackWaitMs: claimMs, maxBlockedMs: claimMs })
    const reasons: unknown[] = []
    await queue.work(async (_job, signal) => {
      if (reasons.length > 0) return
      blockFor(2 * claimMs)
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      reasons.push(signal.reason)
      throw signal.reason
    })
    await queue.push({ id: 'stuck' })
    await eventually('the signal has fired', () => reasons.length > 0)
    expect(reasons).toMatchObject([{ code: 'JOB_LOST' }])
    await queue.close()
    await deleteStream()
  })

  it('works on where no thread can be started, its claim as good as its event loop', async () => {
    const lines: string[] = []
    const logger = { ...silentLogger, warn: (message: string) => void lines.push(message) }
    // A function, which no thread can be given.
    const tls = { checkServerIdentity: () => undefined } as never
    const keeper = await startClaimKeeper(
      { address: { url: nats.url, tls }, everyMs: claimMs / 6, maxBlockedMs: claimMs },
      logger,
    )
    keeper.hold('somewhere')
    keeper.alive()
    expect(keeper.renewedAt()).toBe(0)
    keeper.release()
    await keeper.close()
    const nowhere = await startClaimKeeper(
      { address: { url: 'nats://127.0.0.1:1' }, everyMs: claimMs / 6, maxBlockedMs: claimMs },
      logger,
    )
    expect(nowhere.renewedAt()).toBe(0)
    await nowhere.close()
    expect(lines).toEqual(Array(2).fill('claims on jobs are renewed between steps only'))
  })

  it('drops what is no job, and goes on', async () => {
    const queue = await connectJobQueue({ url: nats.url })
    const done: string[] = []
    await queue.work(async (job) => void done.push(job.id))
    const connection = await connect({ servers: nats.url })
    connection.publish(jobSubject('bad'), 'not json')
    await connection.drain()
    await queue.push({ id: 'good' })
    await eventually('the good one is done', () => done.includes('good'))
    expect(done).toEqual(['good'])
    expect(queue.stats().deadLettered).toBe(1)
    await queue.close()
    await deleteStream()
  })

  it('takes over the claim time that the last worker was given', async () => {
    const [a, b] = [1, 2].map((factor) => connectJobQueue({ url: nats.url, ackWaitMs: factor * claimMs }))
    await (await a!).work(async () => undefined)
    await (await b!).work(async () => undefined)
    const connection = await connect({ servers: nats.url })
    const { config } = await (await jetstreamManager(connection)).consumers.info(streams.jobs, 'trainers')
    expect(config.ack_wait).toBe(2 * claimMs * 1e6)
    await connection.close()
    await Promise.all([(await a!).close(), (await b!).close()])
    await deleteStream()
  })

  it('fires the signal of a job whose claim was lost with the server', async () => {
    const queue = await connectJobQueue({ url: nats.url, ackWaitMs: claimMs })
    let reason: unknown
    await queue.work(
      (_job, signal) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            reason = signal.reason
            resolve()
          })
        }),
    )
    await queue.push({ id: 'cut-off' })
    const consumer = await connect({ servers: nats.url })
    const jsm = await jetstreamManager(consumer)
    await eventually('it is taken', async () => (await jsm.consumers.info(streams.jobs, 'trainers')).num_ack_pending)
    await consumer.close()
    await nats.stop('SIGKILL')
    await eventually('the signal', () => reason)
    expect(reason).toMatchObject({ code: 'JOB_LOST' })
    await nats.start()
    await queue.close()
    await deleteStream()
  })
})
