import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Envelope, silentLogger } from '@tideway/core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { MapCloud, quick, temporary, until } from '../edge.fixture.js'
import { defaultLimits, type EdgeLimits } from '../options.js'
import { layoutOf } from '../store/layout.js'
import { type Draft, type Outbox, openOutbox } from './outbox.js'
import { createOutboxFiles, type OutboxFiles } from './outbox-files.js'

const at = '2026-01-01T00:00:00.000Z'
const draft = (kind: string, n: number, filler = 0): Draft => ({
  kind,
  schema: 1,
  from: at,
  to: at,
  body: { n, ...(filler > 0 && { filler: 'x'.repeat(filler) }) },
})

interface Setup {
  readonly dir: string
  readonly boot?: string
  readonly limits?: Partial<EdgeLimits>
  readonly wrap?: (files: OutboxFiles) => OutboxFiles
}

async function open(cloud: MapCloud, { dir, boot = 'b1', limits, wrap = (f) => f }: Setup): Promise<Outbox> {
  const link = cloud.link()
  const outbox = await openOutbox({
    device: 'd1',
    fleet: 'f1',
    boot,
    link,
    files: wrap(createOutboxFiles(layoutOf(dir))),
    limits: { ...defaultLimits, ...quick, ...limits },
    logger: silentLogger,
  })
  await link.watchAcks((ack) => outbox.acknowledge(ack))
  link.onConnect(() => outbox.resend())
  onTestFinished(() => outbox.close())
  return outbox
}

const numbers = (cloud: MapCloud, boot: string): unknown[] =>
  [...cloud.reports.values()].filter((report) => report.boot === boot).map(({ body }) => body.n ?? body.dropped)

const filesOf = async (dir: string): Promise<string[]> =>
  (await readdir(join(dir, 'outbox'), { recursive: true }).catch(() => [])).filter((f) => f.endsWith('.json')).sort()

describe('the outbox', () => {
  it('keeps a report on disk before it is sent, and until the store has committed it', async () => {
    const cloud = new MapCloud()
    cloud.acknowledges = false
    const dir = await temporary()
    const outbox = await open(cloud, { dir, limits: { ackTimeoutMs: 60_000 } })
    for (const n of [1, 2, 3]) await outbox.add(draft('event', n))
    await outbox.sent()
    expect(numbers(cloud, 'b1')).toEqual([1, 2, 3])
    expect(await filesOf(dir)).toEqual(['b1/1.json', 'b1/2.json', 'b1/3.json'])
    cloud.reports.delete('b1/3')
    cloud.acknowledge('b1')
    expect(outbox.stats().pending).toBe(1)
    await expect.poll(() => filesOf(dir)).toEqual(['b1/3.json'])
  })

  it('sends again what is not acknowledged in time, with the same sequences', async () => {
    const cloud = new MapCloud()
    cloud.acknowledges = false
    const outbox = await open(cloud, { dir: await temporary() })
    await outbox.add(draft('event', 1))
    await outbox.add(draft('event', 2))
    await until(() => cloud.sends >= 6, 'three rounds')
    expect([...cloud.reports.keys()]).toEqual(['b1/1', 'b1/2'])
    cloud.acknowledges = true
    await until(() => outbox.stats().pending === 0)
    expect(outbox.stats()).toEqual({ pending: 0, bytes: 0, memoryOnly: 0, dropped: 0 })
  })

  it('sends after a reconnection what could not be sent before', async () => {
    const cloud = new MapCloud()
    cloud.setOnline(false)
    const outbox = await open(cloud, { dir: await temporary(), limits: { ackTimeoutMs: 60_000 } })
    await outbox.add(draft('event', 1))
    await outbox.sent()
    expect(cloud.sends).toBe(0)
    cloud.setOnline(true)
    await until(() => outbox.stats().pending === 0)
    expect(numbers(cloud, 'b1')).toEqual([1])
  })

  it('sends what earlier starts left, oldest first, and forgets their folders', async () => {
    const cloud = new MapCloud()
    cloud.setOnline(false)
    const dir = await temporary()
    for (const boot of ['b1', 'b2']) {
      const before = await open(cloud, { dir, boot })
      await before.add(draft('profile', 1))
      await before.close()
    }
    const outbox = await open(cloud, { dir, boot: 'b3' })
    await outbox.add(draft('event', 1))
    cloud.setOnline(true)
    await until(() => outbox.stats().pending === 0)
    expect([...cloud.reports.keys()]).toEqual(['b1/1', 'b2/1', 'b3/1'])
    await expect.poll(() => readdir(join(dir, 'outbox'))).toEqual(['b3'])
  })

  it('puts a small envelope in the place of a file that was damaged, so that later ones can be acknowledged', async () => {
    const cloud = new MapCloud()
    cloud.setOnline(false)
    const dir = await temporary()
    const before = await open(cloud, { dir })
    for (const n of [1, 2, 3]) await before.add(draft('event', n * 10))
    await before.close()
    await writeFile(join(dir, 'outbox', 'b1', '2.json'), '{"v":1')
    const outbox = await open(cloud, { dir, boot: 'b2' })
    cloud.setOnline(true)
    outbox.resend()
    await until(() => outbox.stats().pending === 0)
    expect(numbers(cloud, 'b1')).toEqual([10, 1, 30])
  })

  it('closes gaps of an older start whose reports were in memory only', async () => {
    const cloud = new MapCloud()
    cloud.setOnline(false)
    const dir = await temporary()
    const failing = new Set([1, 3])
    const wrap = (files: OutboxFiles): OutboxFiles => ({
      ...files,
      write: async (envelope: Envelope) => {
        if (failing.has(envelope.seq)) throw new Error('no space')
        await files.write(envelope)
      },
    })
    const before = await open(cloud, { dir, wrap })
    for (const n of [1, 2, 3, 4]) await before.add(draft('event', n * 10))
    expect(before.stats()).toMatchObject({ pending: 4, memoryOnly: 2 })
    await before.close()
    const outbox = await open(cloud, { dir, boot: 'b2' })
    cloud.setOnline(true)
    await until(() => outbox.stats().pending === 0)
    expect([1, 2, 3, 4].map((seq) => cloud.reports.get(`b1/${seq}`)?.body)).toEqual([
      { dropped: 1, droppedKind: 'unknown' },
      { n: 20 },
      { dropped: 1, droppedKind: 'unknown' },
      { n: 40 },
    ])
  })

  it('drops the oldest windows when it is full, counts them, and leaves no gap', async () => {
    const cloud = new MapCloud()
    cloud.setOnline(false)
    const dir = await temporary()
    const outbox = await open(cloud, { dir, limits: { maxOutboxBytes: 20_000 } })
    await outbox.add(draft('state', 1, 3_000))
    for (const n of [2, 3, 4, 5, 6, 7]) await outbox.add(draft('profile', n, 4_000))
    expect(outbox.stats().bytes).toBeLessThanOrEqual(20_000)
    expect(outbox.stats().dropped).toBe(3)
    cloud.setOnline(true)
    await until(() => outbox.stats().pending === 0)
    const bodies = [1, 2, 3, 4, 5, 6, 7].map((seq) => cloud.reports.get(`b1/${seq}`)?.body)
    expect(bodies.map((body) => body?.n ?? body?.droppedKind)).toEqual([1, 'profile', 'profile', 'profile', 5, 6, 7])
  })

  it('keeps reports in memory, bounded, while the disk cannot be written, and writes them when it can', async () => {
    const cloud = new MapCloud()
    cloud.setOnline(false)
    const dir = await temporary()
    let full = true
    const wrap = (files: OutboxFiles): OutboxFiles => ({
      ...files,
      write: async (envelope: Envelope) => {
        if (full) throw new Error('no space')
        await files.write(envelope)
      },
    })
    const outbox = await open(cloud, { dir, wrap, limits: { maxOutboxMemoryBytes: 10_000 } })
    for (const n of [1, 2, 3, 4]) await outbox.add(draft('profile', n, 4_000))
    expect(outbox.stats()).toMatchObject({ pending: 4, memoryOnly: 4, dropped: 2 })
    full = false
    await outbox.add(draft('event', 5))
    expect(outbox.stats()).toMatchObject({ pending: 5, memoryOnly: 0 })
    expect(await filesOf(dir)).toHaveLength(5)
  })

  it('declares a report that is too large for the wire instead of sending it', async () => {
    const cloud = new MapCloud()
    const outbox = await open(cloud, { dir: await temporary() })
    await outbox.add(draft('profile', 1, 300_000))
    await outbox.add(draft('profile', 2))
    await until(() => outbox.stats().pending === 0)
    expect(numbers(cloud, 'b1')).toEqual([1, 2])
    expect(cloud.reports.get('b1/1')?.body).toEqual({ dropped: 1, droppedKind: 'profile' })
  })

  it('has no more under way than it may, and goes on as acknowledgements come', async () => {
    const cloud = new MapCloud()
    cloud.acknowledges = false
    const outbox = await open(cloud, {
      dir: await temporary(),
      limits: { maxUnackedReports: 2, ackTimeoutMs: 60_000 },
    })
    for (const n of [1, 2, 3, 4, 5]) await outbox.add(draft('event', n))
    await outbox.sent()
    expect(numbers(cloud, 'b1')).toEqual([1, 2])
    cloud.acknowledges = true
    cloud.acknowledge('b1')
    await until(() => outbox.stats().pending === 0)
    expect(numbers(cloud, 'b1')).toEqual([1, 2, 3, 4, 5])
  })
})
