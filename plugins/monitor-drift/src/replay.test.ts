import {
  type Alert,
  type AuditEntry,
  type AuditLog,
  createHost,
  type DeviceStore,
  type Envelope,
  tokens,
} from '@tideway/core'
import {
  createMemoryStores,
  type MemoryStores,
  type Published,
  profileOf,
  publish,
  randomOf,
  reportOf,
} from '@tideway/test/contract/monitor-fixture'
import { describe, expect, it } from 'vitest'
import { createDriftMonitor, type DriftMonitorParts } from './monitor.js'
import { monitorDrift } from './plugin.js'

const schedule = { alarmRate: 0.001, firstLookRows: 50, segmentRows: 6400 }
const at = '2026-01-01T00:00:00.000Z'

function memoryAudit(): AuditLog & { readonly kept: AuditEntry[] } {
  const kept: AuditEntry[] = []
  return {
    kept,
    async append(entry) {
      const full = { data: {}, ...entry, id: kept.length + 1, at }
      kept.push(full)
      return full
    },
    list: async ({ subject, action } = {}) =>
      kept.filter((entry) => entry.subject === subject && entry.action === action),
  }
}

function stored(): { stores: MemoryStores; published: Published; drifted: Envelope[] } {
  const stores = createMemoryStores()
  const published = publish('digits', profileOf(1000, randomOf(1)))
  stores.add(published)
  const random = randomOf(5)
  const drifted = [1, 2, 3].map((seq) => reportOf(published, { device: 'bad', seq }, profileOf(100, random, 2)))
  return { stores, published, drifted }
}

function monitorOf(stores: MemoryStores, more: Partial<DriftMonitorParts> = {}) {
  const monitor = createDriftMonitor({ reports: stores.reports, chunks: stores.chunks, ...more }, schedule)
  const alerts: Alert[] = []
  monitor.onAlert((alert) => alerts.push(alert))
  return { monitor, alerts }
}

describe('a restarted monitor', () => {
  it('raises an alert that was lost between commit and alert, once, when an audit log remembers', async () => {
    const { stores, drifted } = stored()
    const audit = memoryAudit()
    await stores.reports.append(drifted, at)
    const first = monitorOf(stores, { audit })
    await first.monitor.start()
    expect(first.alerts.map(({ verdict }) => verdict.device)).toEqual(['bad', undefined])
    expect(audit.kept.map(({ subject }) => subject)).toEqual(first.alerts.map(({ id }) => id))
    const second = monitorOf(stores, { audit })
    await second.monitor.start()
    expect(second.alerts).toEqual([])
    expect(await second.monitor.verdicts()).toEqual(await first.monitor.verdicts())
  })

  it('raises the alert of a report at hand, also when that makes it replay the version first', async () => {
    const { stores, drifted } = stored()
    await stores.reports.append(drifted, at)
    const { monitor, alerts } = monitorOf(stores)
    await monitor.observe(drifted)
    expect(alerts).toHaveLength(2)
    expect((await monitor.verdicts({ device: 'bad' }))[0]?.rows).toBe(300)
  })

  it('replays the versions that devices run or should run, and others when asked', async () => {
    const { stores, published, drifted } = stored()
    const old = publish('digits', profileOf(500, randomOf(8)))
    stores.add(old)
    const oldReports = drifted.map((report) => ({ ...report, boot: 'old', manifestDigest: old.manifestDigest }))
    await stores.reports.append([...oldReports, ...drifted], at)
    const model = { version: 2, manifestDigest: published.manifestDigest }
    const devices = {
      devices: async () => [],
      allDesired: async () => [
        { fleet: 'plant', desired: { v: 1, generation: 1, models: { digits: model }, issuedAt: at } },
      ],
    } as Partial<DeviceStore> as DeviceStore
    const { monitor } = monitorOf(stores, { devices })
    await monitor.start()
    expect(new Set((await monitor.verdicts()).map(({ manifestDigest }) => manifestDigest))).toEqual(
      new Set([published.manifestDigest]),
    )
    expect(await monitor.verdicts({ manifestDigest: old.manifestDigest, device: 'bad' })).toMatchObject([
      { rows: 300, baselineRows: 500 },
    ])
  })
})

describe('a monitor in trouble', () => {
  it('reads a version anew after the store failed, and counts what went which way', async () => {
    const { stores, published, drifted } = stored()
    await stores.reports.append(drifted.slice(0, 2), at)
    let broken = true
    const reports: typeof stores.reports = {
      ...stores.reports,
      read: (filter) => (broken ? Promise.reject(new Error('no connection')) : stores.reports.read(filter)),
    }
    const { monitor } = monitorOf(stores, { reports })
    await monitor.observe(drifted.slice(0, 2))
    expect(monitor.counts()).toMatchObject({ failed: 2, merged: 0 })
    broken = false
    const { fresh } = await stores.reports.append(drifted, at)
    await monitor.observe(fresh)
    expect((await monitor.verdicts({ device: 'bad' }))[0]?.rows).toBe(300)
    const odd = [
      { ...drifted[0], kind: 'poem' },
      { ...drifted[0], manifestDigest: '0'.repeat(64) },
      { ...drifted[0], model: 'another' },
      { ...drifted[0], body: {} },
      { ...drifted[0], body: { ...drifted[0]?.body, schemaDigest: 'x' } },
      drifted[0],
    ] as Envelope[]
    await monitor.observe(odd)
    expect(monitor.counts()).toEqual({
      merged: 3,
      failed: 2,
      withoutBaseline: 0,
      otherKind: 1,
      unknownVersion: 1,
      foreign: 1,
      invalid: 1,
      schema: 1,
      duplicate: 1,
    })
    expect((await monitor.verdicts({ manifestDigest: published.manifestDigest }))[0]?.rows).toBe(300)
  })

  it('takes up a version once its chunks are there, and with all its reports', async () => {
    const { published, drifted } = stored()
    const stores = createMemoryStores()
    const { monitor, alerts } = monitorOf(stores, { audit: memoryAudit() })
    const [first, ...rest] = drifted as [Envelope, ...Envelope[]]
    await monitor.observe((await stores.reports.append([first], at)).fresh)
    expect(monitor.counts().unknownVersion).toBe(1)
    stores.add(published)
    await monitor.observe((await stores.reports.append(rest, at)).fresh)
    expect((await monitor.verdicts({ device: 'bad' }))[0]?.rows).toBe(300)
    expect(alerts).toHaveLength(2)
  })

  it('refuses an altered baseline, and goes on', async () => {
    const { stores, drifted, published } = stored()
    const altered = new Map([...published.chunks.keys()].map((sha256) => [sha256, new TextEncoder().encode('{')]))
    altered.delete(published.manifestDigest)
    stores.add({ ...published, chunks: altered })
    const { monitor } = monitorOf(stores)
    await monitor.observe(drifted)
    expect(monitor.counts()).toMatchObject({ failed: 3, merged: 0 })
  })

  it('raises alerts with the other handlers when one of them throws', async () => {
    const { stores, drifted } = stored()
    const monitor = createDriftMonitor({ reports: stores.reports, chunks: stores.chunks }, schedule)
    const seen: string[] = []
    monitor.onAlert(() => {
      throw new Error('no network')
    })
    monitor.onAlert(({ id }) => seen.push(id))
    await monitor.observe(drifted)
    expect(seen).toHaveLength(2)
  })
})

describe('the plugin', () => {
  it('provides a monitor that replays when the host starts, and checks its options', async () => {
    const { stores, drifted } = stored()
    await stores.reports.append(drifted, at)
    const host = createHost()
    host.provide(tokens.reportStore, () => stores.reports)
    host.provide(tokens.chunkStore, () => stores.chunks)
    expect(() => host.use(monitorDrift({ alarmRate: 2 }))).toThrowError(
      expect.objectContaining({ code: 'PLUGIN_OPTIONS_INVALID' }),
    )
    host.use(monitorDrift({ alarmRate: 0.01 }))
    await host.start()
    expect(await host.get(tokens.monitor).verdicts({ device: 'bad' })).toMatchObject([
      { rows: 300, flagged: true, alarmRate: 0.01 },
    ])
    await host.stop()
  })
})
