import type { MetricReading } from '@tideway/core'

/** What a process does first, it has done by then. */
const LOAD_AFTER_MS = 500

/**
 * What prom-client tells of a Node process: CPU, memory, file descriptors, heap spaces, garbage collection, and how late
 * the event loop is. It is loaded half a second after the first call, or with the first reading, and measures from then on:
 * loading it takes longer than a small model.
 */
export function processReadings(): () => Promise<readonly MetricReading[]> {
  let loading: ReturnType<typeof measure> | undefined
  const load = () => (loading ??= measure())
  setTimeout(() => void load().catch(() => undefined), LOAD_AFTER_MS).unref()
  return async () => (await load())()
}

async function measure(): Promise<() => Promise<readonly MetricReading[]>> {
  const { collectDefaultMetrics, Registry } = await import('prom-client')
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return async () =>
    (await registry.getMetricsAsJSON()).map(({ name, help, type, values }) => ({
      name,
      help,
      // Its declarations have an enum that is not there at run time.
      type: String(type),
      samples: values.map((value) => ({
        suffix: ((value as { metricName?: string }).metricName ?? name).slice(name.length),
        labels: value.labels as Readonly<Record<string, string | number>>,
        value: value.value,
      })),
    }))
}
