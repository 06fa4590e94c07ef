import type { MetricReading } from '@tideway/core'
import { collectDefaultMetrics, Registry } from 'prom-client'

/**
 * What prom-client tells of a Node process: CPU, memory, file descriptors, heap spaces, garbage collection, and how late
 * the event loop is. It measures from the first call on.
 */
export function processReadings(): () => Promise<readonly MetricReading[]> {
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
