import { type Alert, type DriftVerdict, type Envelope, type Monitor, sha256Hex } from '@tideway/core'
import { afterEach, describe, expect, it } from 'vitest'
import {
  createMemoryStores,
  type MemoryStores,
  type Published,
  profileOf,
  publish,
  randomOf,
  reportOf,
} from './monitor-fixture.js'

/** Makes a monitor over the given stores and starts it; `stop` ends what it started. */
export type MonitorSetup = (
  stores: MemoryStores,
) => Promise<{ readonly monitor: Monitor; readonly stop?: () => Promise<void> }>

/** Enough of a drift for any monitor to see in a few hundred rows. */
const DRIFT = 2

/** The suite that every `Monitor` runs; a monitor's own test file is a call to it and what is special about it. */
export function monitorContract(name: string, setup: MonitorSetup): void {
  const running: (() => Promise<void>)[] = []

  /** A monitor over stores that hold one version with a baseline of 1,000 rows. */
  async function open(stores = createMemoryStores()) {
    const published = publish('digits', profileOf(1000, randomOf(1)))
    stores.add(published)
    const { monitor, stop } = await setup(stores)
    if (stop) running.push(stop)
    const alerts: Alert[] = []
    monitor.onAlert((alert) => alerts.push(alert))
    /** Commits reports and tells the monitor of the new ones, as the cloud does. */
    const send = async (...reports: Envelope[]) => {
      const { fresh } = await stores.reports.append(reports, new Date(0).toISOString())
      await monitor.observe(fresh)
    }
    return { monitor, alerts, send, published, stores }
  }

  describe(`monitor contract: ${name}`, () => {
    afterEach(async () => {
      for (const stop of running.splice(0)) await stop()
    })

    it('flags a drifted device, and not an undrifted one', async () => {
      const { monitor, send, published } = await open()
      await send(...windows(published, 'good', 8, 50), ...windows(published, 'bad', 8, 50, DRIFT))
      const [good, bad] = await Promise.all(['good', 'bad'].map((device) => verdictOf(monitor, device)))
      expect(good).toMatchObject({ model: 'digits', fleet: 'plant', device: 'good', flagged: false, rows: 400 })
      expect(bad).toMatchObject({ manifestDigest: published.manifestDigest, flagged: true, rows: 400 })
      expect(good?.score).toBeLessThan(1)
      expect(bad?.score).toBeGreaterThanOrEqual(1)
      for (const verdict of [good, bad]) {
        expect(verdict?.baselineRows).toBe(1000)
        expect(verdict?.looks).toBeGreaterThan(0)
        expect(verdict?.alarmRate).toBeGreaterThan(0)
        expect(verdict?.alarmRate).toBeLessThanOrEqual(0.01)
        const values = verdict?.statistics.map(({ pValue }) => pValue) ?? []
        expect(values.length).toBeGreaterThan(0)
        expect(values).toEqual(values.toSorted((a, b) => a - b))
        for (const { level, distance } of verdict?.statistics ?? []) {
          expect(level).toBeLessThan(verdict?.alarmRate ?? 0)
          expect(distance).toBeGreaterThanOrEqual(0)
          expect(distance).toBeLessThanOrEqual(1)
        }
      }
    })

    it('judges the whole fleet as well', async () => {
      const { monitor, send, published } = await open()
      await send(...windows(published, 'one', 4, 50, DRIFT), ...windows(published, 'two', 4, 50, DRIFT))
      const fleets = (await monitor.verdicts({ fleet: 'plant' })).filter(({ device }) => device === undefined)
      expect(fleets).toHaveLength(1)
      expect(fleets[0]).toMatchObject({ rows: 400, flagged: true })
    })

    it('lists a device without enough rows for a look as not looked at', async () => {
      const { monitor, send, published } = await open()
      await send(...windows(published, 'young', 1, 2, DRIFT))
      expect(await verdictOf(monitor, 'young')).toMatchObject({ looks: 0, flagged: false, rows: 2, statistics: [] })
    })

    it('counts each (device, boot, seq) once, and a new boot anew', async () => {
      const { monitor, send, published } = await open()
      const reports = windows(published, 'again', 4, 25)
      await send(...reports)
      await monitor.observe(reports)
      await monitor.observe(reports.toReversed())
      expect(await verdictOf(monitor, 'again')).toMatchObject({ rows: 100 })
      await send(...reports.map((report) => ({ ...report, boot: 'boot-2' })))
      expect(await verdictOf(monitor, 'again')).toMatchObject({ rows: 200 })
    })

    it('comes to the same verdict whatever the order of windows and devices', async () => {
      const verdicts: (DriftVerdict | undefined)[][] = []
      const orders: ((reports: Envelope[]) => Envelope[])[] = [
        (reports) => reports,
        (reports) => reports.toReversed(),
        (reports) => reports.toSorted((a, b) => a.seq - b.seq),
        (reports) => reports.toSorted((a, b) => ((a.seq * 7) % 5) - ((b.seq * 7) % 5)),
      ]
      for (const order of orders) {
        const { monitor, send, published } = await open()
        for (const report of order([...windows(published, 'good', 8, 50), ...windows(published, 'bad', 8, 50, DRIFT)]))
          await send(report)
        verdicts.push(await Promise.all(['good', 'bad'].map((device) => verdictOf(monitor, device))))
      }
      const summary = (list: (DriftVerdict | undefined)[]) =>
        list.map((verdict) => [verdict?.rows, verdict?.looks, verdict?.flagged, verdict?.statistics])
      for (const list of verdicts) expect(summary(list)).toEqual(summary(verdicts[0] ?? []))
    })

    it('stays flagged when the drift is over', async () => {
      const { monitor, send, published } = await open()
      await send(...windows(published, 'healed', 2, 100, DRIFT))
      expect((await verdictOf(monitor, 'healed'))?.flagged).toBe(true)
      await send(...windows(published, 'healed', 12, 400, 0, 3))
      expect((await verdictOf(monitor, 'healed'))?.flagged).toBe(true)
    })

    it('raises one alert for each drifted device and version, and none for others', async () => {
      const { alerts, send, published } = await open()
      for (const report of windows(published, 'bad', 8, 50, DRIFT)) await send(report)
      await send(...windows(published, 'good', 8, 50))
      const devices = alerts.flatMap(({ verdict }) => verdict.device ?? [])
      expect(devices).toEqual(['bad'])
      expect(new Set(alerts.map(({ id }) => id)).size).toBe(alerts.length)
      for (const alert of alerts) expect(alert).toMatchObject({ kind: 'drift', verdict: { flagged: true } })
    })

    it('survives unknown kinds, unknown versions and bodies that are no profiles', async () => {
      const { monitor, send, published } = await open()
      const [good, ...rest] = windows(published, 'odd', 20, 50) as [Envelope, ...Envelope[]]
      const other = profileOf(50, randomOf(3))
      const odd: Partial<Envelope>[] = [
        { kind: 'poem' },
        { kind: 'state', body: {} },
        { manifestDigest: 'f'.repeat(64) },
        { manifestDigest: undefined },
        { body: {} },
        { body: { ...other, schemaDigest: 'another' } },
        { body: { ...other, rows: -1 } },
        { body: { ...other, rows: 7 } },
        { body: { ...other, sketches: { ...other.sketches, 'feature.0': '!' } } },
        { body: { ...other, sketches: { ...other.sketches, 'feature.0': 'AAAA' } } },
        { body: { ...other, counts: { class: { '0': 1e300 } } } },
        { body: { ...other, sketches: 5 } },
      ]
      await send(...odd.map((change, i) => ({ ...(rest[i] ?? good), ...change })), good)
      expect(await verdictOf(monitor, 'odd')).toMatchObject({ rows: 50 })
    })

    it('ignores versions that were published without a baseline', async () => {
      const { monitor, send, stores } = await open()
      const bare = publish('digits', undefined)
      stores.add(bare)
      await send(...windows(bare, 'bare', 2, 50, DRIFT))
      expect(await verdictOf(monitor, 'bare')).toBeUndefined()
    })

    it('comes to the same verdicts after a restart, and raises no alert twice', async () => {
      const first = await open()
      // More reports than one page of the store holds.
      const many = windows(first.published, 'chatty', 1100, 1)
      await first.send(...many)
      for (const report of windows(first.published, 'bad', 8, 50, DRIFT)) await first.send(report)
      await first.send(...windows(first.published, 'good', 8, 50))
      const before = await first.monitor.verdicts()
      expect(before).toHaveLength(4)
      const second = await open(first.stores)
      expect(await second.monitor.verdicts({ manifestDigest: first.published.manifestDigest })).toEqual(before)
      await second.monitor.observe(many)
      await second.send(...windows(first.published, 'bad', 2, 50, DRIFT, 9))
      const ids = [...first.alerts, ...second.alerts].map(({ id }) => id)
      expect(new Set(ids).size).toBe(ids.length)
      expect(await verdictOf(second.monitor, 'bad')).toMatchObject({ rows: 500, flagged: true })
    })

    it('answers the verdicts that are asked for', async () => {
      const { monitor, send, published } = await open()
      const moved = windows(published, 'moved', 1, 10).map((report) => ({ ...report, fleet: 'other' }))
      await send(...windows(published, 'one', 1, 10), ...windows(published, 'two', 1, 10), ...moved)
      const count = async (filter: Parameters<Monitor['verdicts']>[0]) => (await monitor.verdicts(filter)).length
      expect(await count(undefined)).toBe(5)
      expect(await count({ fleet: 'other' })).toBe(2)
      expect(await count({ device: 'two' })).toBe(1)
      expect(await count({ model: 'another' })).toBe(0)
      expect(await count({ manifestDigest: '0'.repeat(64) })).toBe(0)
    })
  })
}

/** `count` sealed windows of a device, numbered from `seq`. */
function windows(published: Published, device: string, count: number, rows: number, shift = 0, seq = 1): Envelope[] {
  const random = randomOf(Number.parseInt(sha256Hex(`${device}/${seq}`).slice(0, 8), 16))
  return Array.from({ length: count }, (_, i) =>
    reportOf(published, { device, seq: seq + i }, profileOf(rows, random, shift, seq + i)),
  )
}

async function verdictOf(monitor: Monitor, device: string): Promise<DriftVerdict | undefined> {
  return (await monitor.verdicts({ device }))[0]
}
