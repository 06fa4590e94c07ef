import { type JetStreamManager, jetstreamManager, RetentionPolicy } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { type Envelope, subjects, toJsonBytes } from '@tideway/core'
import { startNats, type TestNats } from '@tideway/test/support/nats'
import { eventually, freePort } from '@tideway/test/support/process'
import { describeWithServer } from '@tideway/test/support/servers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connectCloudNats } from './cloud.js'
import { connectEdgeNats } from './edge.js'
import { connectJobQueue } from './jobs.js'
import { streams } from './streams.js'

const chunk = new Uint8Array(100 * 1024).fill(7)
const sha = (digit: string) => digit.repeat(64)

describe('without a server', () => {
  it('says LINK_UNAVAILABLE without the password in the address', async () => {
    const port = await freePort()
    const failure = connectCloudNats({ url: `nats://user:hunter2@127.0.0.1:${port}` })
    await expect(failure).rejects.toMatchObject({ code: 'LINK_UNAVAILABLE', data: { url: `nats://127.0.0.1:${port}` } })
    await expect(connectJobQueue({ url: `nats://127.0.0.1:${port}` })).rejects.toMatchObject({
      code: 'LINK_UNAVAILABLE',
    })
  })

  it('lets a device open its link, refuse reports and close again', async () => {
    const link = connectEdgeNats({ url: `nats://127.0.0.1:${await freePort()}`, fleet: 'f', device: 'd' })
    expect(link.connected()).toBe(false)
    await expect(link.sendReport(report(1))).rejects.toMatchObject({ code: 'LINK_UNAVAILABLE' })
    await expect(link.fetchChunk(sha('a'))).rejects.toMatchObject({ code: 'LINK_UNAVAILABLE' })
    await link.setReported({ v: 1, device: 'd', fleet: 'f', generation: 0, models: {}, at: new Date().toISOString() })
    await link.close()
  })

  it('refuses a fleet that is no id', () => {
    expect(() => connectEdgeNats({ url: 'nats://127.0.0.1', fleet: 'a.b', device: 'd' })).toThrowError(
      expect.objectContaining({ code: 'NAME_INVALID' }),
    )
  })
})

describeWithServer('nats-server', 'the streams of the cloud', (path) => {
  let nats: TestNats
  let connection: NatsConnection
  let jsm: JetStreamManager
  beforeAll(async () => {
    nats = await startNats(path)
  })
  beforeEach(async () => {
    connection = await connect({ servers: nats.url })
    jsm = await jetstreamManager(connection)
  })
  afterEach(async () => {
    for await (const { config } of jsm.streams.list()) await jsm.streams.delete(config.name)
    await connection.close()
  })
  afterAll(() => nats?.close())

  it('are made once, and corrected where the wire needs it, with sizes left as they are', async () => {
    const first = await connectCloudNats({ url: nats.url, maxChunkBytes: 5_000_000 })
    await first.close()
    await jsm.streams.update(streams.desired, { allow_direct: false })
    const [a, b] = await Promise.all([connectCloudNats({ url: nats.url }), connectCloudNats({ url: nats.url })])
    expect((await jsm.streams.info(streams.desired)).config).toMatchObject({
      allow_direct: true,
      max_msgs_per_subject: 1,
    })
    expect((await jsm.streams.info(streams.chunks)).config).toMatchObject({ max_bytes: 5_000_000, discard: 'new' })
    await Promise.all([a.close(), b.close()])
  })

  it('are refused when they keep messages in another way', async () => {
    await jsm.streams.add({ name: streams.reports, subjects: [subjects.reportAll], retention: RetentionPolicy.Limits })
    await expect(connectCloudNats({ url: nats.url })).rejects.toMatchObject({
      code: 'NATS_STREAM_UNUSABLE',
      data: { stream: streams.reports },
    })
  })

  it('say CHUNK_STREAM_FULL, evict nothing, and still know the chunks that they have', async () => {
    const cloud = await connectCloudNats({ url: nats.url, maxChunkBytes: 250 * 1024 })
    await cloud.putChunk(sha('1'), chunk)
    await cloud.putChunk(sha('2'), chunk)
    await expect(cloud.putChunk(sha('3'), chunk)).rejects.toMatchObject({ code: 'CHUNK_STREAM_FULL' })
    await cloud.putChunk(sha('1'), chunk)
    await cloud.putChunk(sha('2'), chunk)
    expect((await jsm.streams.info(streams.chunks)).state.messages).toBe(2)
    await cloud.close()
  })

  it('say REPORT_STREAM_FULL to a device while nobody takes reports', async () => {
    const cloud = await connectCloudNats({ url: nats.url, maxReportBytes: 20_000 })
    const link = connectEdgeNats({ url: nats.url, fleet: 'f', device: 'd' })
    await new Promise<void>((resolve) => link.onConnect(resolve))
    const body = { text: 'x'.repeat(9_000) }
    await link.sendReport({ ...report(1), body })
    await link.sendReport({ ...report(2), body })
    await expect(link.sendReport({ ...report(3), body })).rejects.toMatchObject({ code: 'REPORT_STREAM_FULL' })
    const seen: number[] = []
    await cloud.consumeReports(async (batch) => {
      seen.push(...batch.map((envelope) => envelope.seq))
      return []
    })
    await eventually('there is room again', () =>
      link.sendReport({ ...report(3), body }).then(
        () => true,
        () => false,
      ),
    )
    await eventually('all came', () => new Set(seen).size === 3)
    await Promise.all([link.close(), cloud.close()])
  })

  it('lose a report that is refused time and again, counted, and keep no trace of it', async () => {
    const cloud = await connectCloudNats({ url: nats.url, maxDeliveries: 3 })
    let attempts = 0
    await cloud.consumeReports(async () => {
      attempts += 1
      throw new Error('never')
    })
    connection.publish(subjects.report('f', 'd'), toJsonBytes(report(1)))
    await eventually('it is given up', () => cloud.stats().reportsDropped.REPORT_DEAD_LETTERED === 1)
    expect(attempts).toBe(3)
    await eventually('it is gone', async () => (await jsm.streams.info(streams.reports)).state.messages === 0)
    await cloud.close()
  })

  it('give a report that a process took and never answered to another', async () => {
    const [a, b] = await Promise.all(
      [0, 1].map(() => connectCloudNats({ url: nats.url, ackWaitMs: 1_000, maxBackoffMs: 200 })),
    )
    let release = (): void => undefined
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    let taken = 0
    const stopA = await a!.consumeReports(async () => {
      taken += 1
      await released
      throw new Error('the store went away with the process')
    })
    connection.publish(subjects.report('f', 'd'), toJsonBytes(report(1)))
    await eventually('the first has it', () => taken === 1)
    const stopping = stopA()
    release()
    await stopping
    const seen: number[] = []
    await b!.consumeReports(async (batch) => {
      seen.push(...batch.map((envelope) => envelope.seq))
      return []
    })
    await eventually('the second has it', () => seen.includes(1))
    await Promise.all([a!.close(), b!.close()])
  })
})

function report(seq: number): Envelope {
  const at = new Date().toISOString()
  const about = { device: 'd', fleet: 'f', boot: 'boot', seq, schema: 1, from: at, to: at, sentAt: at }
  return { v: 1, kind: 'event', ...about, body: {} }
}
