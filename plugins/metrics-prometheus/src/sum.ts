import type { MetricReading, MetricSample } from '@tideway/core'

/** Of each process on its own, since a sum of event loops' lags says nothing. */
const OF_PROCESS = /^(process|nodejs)_/

/**
 * What several processes counted, as one: series alike are added up, gauges too, as they are of what each holds. What is of a
 * process itself stays apart, and of others has the label `process`.
 */
export function sumOf(
  own: readonly MetricReading[],
  others: readonly (readonly MetricReading[])[],
): readonly MetricReading[] {
  if (others.length === 0) return own
  const labelled = others.map((readings, at) => readings.map((reading) => apart(reading, `serving-${at}`)))
  const byName = new Map<string, MetricReading[]>()
  for (const reading of [own, ...labelled].flat())
    byName.set(reading.name, [...(byName.get(reading.name) ?? []), reading])
  return [...byName.values()].map((same) => ({ ...(same[0] as MetricReading), samples: added(same) }))
}

function apart(reading: MetricReading, process: string): MetricReading {
  if (!OF_PROCESS.test(reading.name)) return reading
  return { ...reading, samples: reading.samples.map((s) => ({ ...s, labels: { ...s.labels, process } })) }
}

function added(readings: readonly MetricReading[]): MetricSample[] {
  const sums = new Map<string, MetricSample>()
  for (const sample of readings.flatMap(({ samples }) => samples)) {
    const key = `${sample.suffix} ${JSON.stringify(sample.labels)}`
    const known = sums.get(key)
    const value = (known?.value ?? 0) + sample.value
    sums.set(key, { ...sample, value, exemplar: newer(known?.exemplar, sample.exemplar) })
  }
  return [...sums.values()]
}

function newer(a: MetricSample['exemplar'], b: MetricSample['exemplar']): MetricSample['exemplar'] {
  if (a === undefined || b === undefined) return a ?? b
  return a.at > b.at ? a : b
}
