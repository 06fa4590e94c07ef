import type { DeviceRecord, DriftVerdict } from '@tideway/core'
import { PrometheusMetrics } from '@tideway/metrics-prometheus'
import { expect, it } from 'vitest'
import { refresher } from './fleet-metrics.js'

const NOW = Date.parse('2026-01-01T12:00:00.000Z')
type Status = 'fetching' | 'verifying' | 'active' | 'failed'

function device(id: string, fleet: string, minutesAgo: number, ...statuses: Status[]): DeviceRecord {
  const at = new Date(NOW - minutesAgo * 60_000).toISOString()
  const models = Object.fromEntries(statuses.map((status, i) => [`m${i}`, { status }]))
  const reported = { v: 1 as const, device: id, fleet, generation: 1, models, at }
  return { id, fleet, firstSeenAt: at, lastSeenAt: at, ...(statuses.length > 0 && { reported }) } as DeviceRecord
}

const verdict = (name: string | undefined, score: number) =>
  ({
    model: 'm',
    manifestDigest: 'ab'.repeat(32),
    fleet: 'north',
    device: name,
    flagged: score >= 1,
    score,
  }) as DriftVerdict

it('tells of devices by fleet and of the drift of versions, without asking the store at each reading', async () => {
  const metrics = new PrometheusMetrics({ maxSeries: 100 })
  let [now, asked] = [NOW, 0]
  let devices = [
    device('a', 'north', 1, 'active', 'active'),
    device('b', 'north', 20, 'active', 'failed', 'fetching'),
    device('c', 'north', 1, 'active', 'verifying'),
    device('d', 'south', 16),
  ]
  const verdicts = [verdict('a', 0.5), verdict('b', 1.5), verdict('c', 2.5), verdict(undefined, 9)]
  const sources = {
    devices: async () => {
      asked++
      return devices
    },
    verdicts: async () => verdicts,
  }
  metrics.onRead(refresher(metrics, sources, () => now))
  const lines = async () => (await metrics.read()).text.split('\n').filter((line) => line.startsWith('tideway_d'))
  const told = [
    'tideway_devices{fleet="north",status="active"} 1',
    'tideway_devices{fleet="north",status="failed"} 1',
    'tideway_devices{fleet="north",status="updating"} 1',
    'tideway_devices{fleet="south",status="unreported"} 1',
    'tideway_devices_silent{fleet="north"} 1',
    'tideway_devices_silent{fleet="south"} 1',
    'tideway_drift_flagged{model="m",digest="abababababab",fleet="north"} 2',
    'tideway_drift_score{model="m",digest="abababababab",fleet="north"} 2.5',
  ]
  expect(await lines()).toEqual(told)
  devices = devices.slice(0, 1)
  now += 29_999
  expect(await lines()).toEqual(told)
  expect(asked).toBe(1)
  now += 1
  expect((await lines()).filter((line) => line.startsWith('tideway_devices'))).toEqual([
    'tideway_devices{fleet="north",status="active"} 1',
    'tideway_devices_silent{fleet="north"} 0',
  ])
})
