import {
  type CloudLink,
  type DeviceRecord,
  type DriftVerdict,
  definePlugin,
  type Family,
  type Gauge,
  type Metrics,
  tokens,
} from '@tideway/core'

/** Devices and verdicts are read from the store this often at most, however often somebody scrapes. */
const KEEP_MS = 30_000
/** A device that has said nothing for so long is told as silent; by default they report every minute. */
const SILENT_MS = 15 * 60_000

/**
 * What there is to know of devices, their reports and drift, from what the store and the link know anyway. Of the store, so
 * that several processes on one tell the same: take the largest, not the sum.
 */
export const fleetMetrics = definePlugin({
  name: 'fleet-metrics',
  needs: [tokens.metrics, tokens.deviceStore],
  wants: [tokens.monitor, tokens.cloudLink],
  register(scope) {
    return {
      start() {
        const metrics = scope.get(tokens.metrics)
        const devices = scope.get(tokens.deviceStore)
        const monitor = scope.has(tokens.monitor) ? scope.get(tokens.monitor) : undefined
        const refresh = refresher(metrics, {
          devices: () => devices.devices(),
          verdicts: async () => (await monitor?.verdicts()) ?? [],
        })
        metrics.onRead(refresh)
        const alerts = metrics.counter({
          name: 'tideway_alerts_total',
          help: 'Alerts that were raised',
          labels: ['kind'],
        })
        monitor?.onAlert(({ kind }) => alerts.of({ kind }).add())
        if (scope.has(tokens.cloudLink)) tellLink(metrics, scope.get(tokens.cloudLink))
      },
    }
  },
})

interface Sources {
  readonly devices: () => Promise<readonly DeviceRecord[]>
  readonly verdicts: () => Promise<readonly DriftVerdict[]>
}

/** For `onRead`. */
export function refresher(metrics: Metrics, sources: Sources, now: () => number = Date.now): () => Promise<void> {
  const devices = gauge(metrics, 'tideway_devices', 'Devices, by the worst that they report of their models', [
    'fleet',
    'status',
  ])
  const silent = gauge(metrics, 'tideway_devices_silent', 'Devices that said nothing for 15 minutes', ['fleet'])
  const drifted = gauge(metrics, 'tideway_drift_flagged', 'Devices whose inputs or outputs drifted', [
    'model',
    'digest',
    'fleet',
  ])
  const score = gauge(metrics, 'tideway_drift_score', 'The largest score of drift of a device; 1 is the threshold', [
    'model',
    'digest',
    'fleet',
  ])
  let readAt = Number.NEGATIVE_INFINITY
  return async () => {
    if (now() - readAt < KEEP_MS) return
    readAt = now()
    const [all, verdicts] = await Promise.all([sources.devices(), sources.verdicts()])
    const since = new Date(now() - SILENT_MS).toISOString()
    const sums = [new Sums(), new Sums(), new Sums(), new Sums()] as const
    for (const device of all) {
      sums[0].add({ fleet: device.fleet, status: statusOf(device) }, 1)
      sums[1].add({ fleet: device.fleet }, device.lastSeenAt < since ? 1 : 0)
    }
    for (const { model, manifestDigest, fleet, device, flagged, score: own } of verdicts) {
      if (device === undefined) continue
      const labels = { model, digest: manifestDigest.slice(0, 12), fleet }
      sums[2].add(labels, flagged ? 1 : 0)
      sums[3].max(labels, own)
    }
    for (const [at, tell] of [devices, silent, drifted, score].entries()) tell(sums[at]?.all() ?? [])
  }
}

type Labels = Readonly<Record<string, string>>

class Sums {
  readonly #held = new Map<string, { readonly labels: Labels; value: number }>()

  add(labels: Labels, value: number): void {
    this.#of(labels).value += value
  }

  max(labels: Labels, value: number): void {
    const held = this.#of(labels)
    held.value = Math.max(held.value, value)
  }

  all(): readonly (readonly [Labels, number])[] {
    return [...this.#held.values()].map(({ labels, value }) => [labels, value])
  }

  #of(labels: Labels): { value: number } {
    const key = JSON.stringify(labels)
    const held = this.#held.get(key) ?? { labels, value: 0 }
    this.#held.set(key, held)
    return held
  }
}

/** `failed` before `updating` before `active`; `unreported` where it has no model yet. */
function statusOf({ reported }: DeviceRecord): string {
  const statuses = Object.values(reported?.models ?? {}).map(({ status }) => status)
  if (statuses.length === 0) return 'unreported'
  if (statuses.includes('failed')) return 'failed'
  return statuses.every((status) => status === 'active') ? 'active' : 'updating'
}

/** A gauge that has the series that are told, and no others. */
function gauge(metrics: Metrics, name: string, help: string, labels: readonly string[]) {
  const family: Family<Gauge, string> = metrics.gauge({ name, help, labels })
  let told: readonly (readonly [Labels, number])[] = []
  return (values: readonly (readonly [Labels, number])[]) => {
    for (const [of] of told) family.remove(of)
    for (const [of, value] of values) family.of(of).set(value)
    told = values
  }
}

function tellLink(metrics: Metrics, link: CloudLink): void {
  const connected = metrics.gauge({ name: 'tideway_link_connected', help: 'Whether the transport to devices is up: 1' })
  const help = 'Reports that came over the transport'
  const received = metrics.counter({ name: 'tideway_reports_received_total', help })
  const dropped = metrics.counter({
    name: 'tideway_reports_dropped_total',
    help: 'Reports that were not taken, by code',
    labels: ['code'],
  })
  metrics.onRead(() => {
    const stats = link.stats()
    connected.of({}).set(stats.connected ? 1 : 0)
    received.of({}).reach(stats.reportsReceived)
    for (const [code, count] of Object.entries(stats.reportsDropped)) dropped.of({ code }).reach(count)
  })
}
