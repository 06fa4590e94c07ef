import type { Counter, Family, Gauge, Histogram, MetricSpec, Metrics } from '../contracts/metrics.js'
import type { Span, SpanOptions } from '../contracts/tracer.js'

/** Metrics that are looked at: of each series by `name{labels}` its total or its value, and of a histogram what it observed. */
export function recordMetrics() {
  const series = new Map<string, { value: number; observed: number[] }>()
  const refreshes: (() => void | Promise<void>)[] = []
  const family = <Label extends string>({ name, labels = [] }: MetricSpec<Label>) => {
    const keyOf = (given: Readonly<Record<string, string>>) =>
      `${name}{${labels.map((label) => `${label}=${given[label]}`).join(',')}}`
    const of = (given: Readonly<Record<string, string>>): Counter & Gauge & Histogram => {
      const held = series.get(keyOf(given)) ?? { value: 0, observed: [] }
      series.set(keyOf(given), held)
      return {
        add: (amount = 1) => void (held.value += amount),
        reach: (total) => void (held.value = total),
        set: (value) => void (held.value = value),
        observe: (value) => void held.observed.push(value),
      }
    }
    return { of, remove: (given) => void series.delete(keyOf(given)) } satisfies Family<unknown, string>
  }
  const metrics: Metrics = {
    counter: family,
    gauge: family,
    histogram: family,
    onRead: (refresh) => void refreshes.push(refresh),
    read: () => Promise.reject(new Error('it is looked at')),
  }
  return {
    metrics,
    refresh: async () => {
      for (const refresh of refreshes) await refresh()
    },
    valueOf: (key: string) => series.get(key)?.value,
    observedBy: (key: string) => series.get(key)?.observed,
    names: () => [...series.keys()],
  }
}

export interface RecordedSpan {
  readonly name: string
  readonly parent: string | undefined
  readonly options: SpanOptions
  readonly spanId: string
  attributes: object
  endMs?: number | undefined
}

/** A span, and those that come to be in it. */
export function recordSpans() {
  const spans: RecordedSpan[] = []
  const start = (name: string, options: SpanOptions = {}, parent?: string): Span => {
    const spanId = `${name}-${spans.length}`
    const recorded: RecordedSpan = { name, parent, options, spanId, attributes: options.attributes ?? {} }
    spans.push(recorded)
    return {
      context: { traceId: 'trace', spanId },
      child: (child, given) => start(child, given, name),
      set: (attributes) => void (recorded.attributes = { ...recorded.attributes, ...attributes }),
      fail: () => undefined,
      end: (atMs) => void (recorded.endMs = atMs),
    }
  }
  return { spans, start }
}
