import type {
  Counter,
  Family,
  Gauge,
  Histogram,
  HistogramSpec,
  Logger,
  MetricReading,
  MetricSpec,
  Metrics,
} from '@tideway/core'
import { type Kind, SeriesFamily, type Spec } from './family.js'
import { CounterSeries, GaugeSeries, HistogramSeries, type Series } from './series.js'
import { sumOf } from './sum.js'
import { CONTENT_TYPES, formFor, write } from './text.js'

export interface PrometheusOptions {
  /** Of one metric at most; further ones are left out of readings and counted in `tideway_metrics_dropped_series_total`. */
  readonly maxSeries: number
  /** Further readings, such as of the process. */
  readonly more?: () => Promise<readonly MetricReading[]>
  readonly logger?: () => Pick<Logger, 'warn'>
}

/**
 * Counts in memory, in plain numbers, and tells them when it is read: nothing is sent anywhere.
 *
 * @example
 * const metrics = new PrometheusMetrics({ maxSeries: 2_000 })
 * metrics.counter({ name: 'rows_total', help: 'Rows' }).of({}).add(3)
 * const { text } = await metrics.read()
 */
export class PrometheusMetrics implements Metrics {
  readonly #families = new Map<string, SeriesFamily<Series>>()
  readonly #refresh: (() => void | Promise<void>)[] = []
  readonly #options: PrometheusOptions
  #others: () => Promise<readonly (readonly MetricReading[])[]> = async () => []
  readonly #dropped: Counter

  constructor(options: PrometheusOptions) {
    this.#options = options
    const help = 'Series that were asked for and left out, since their metric had too many'
    this.#dropped = this.counter({ name: 'tideway_metrics_dropped_series_total', help }).of({})
  }

  counter<Label extends string = never>(spec: MetricSpec<Label>): Family<Counter, Label> {
    return this.#family('counter', spec, () => new CounterSeries())
  }

  gauge<Label extends string = never>(spec: MetricSpec<Label>): Family<Gauge, Label> {
    return this.#family('gauge', spec, () => new GaugeSeries())
  }

  histogram<Label extends string = never>(spec: HistogramSpec<Label>): Family<Histogram, Label> {
    return this.#family('histogram', spec, () => new HistogramSeries(spec.buckets))
  }

  onRead(refresh: () => void | Promise<void>): void {
    this.#refresh.push(refresh)
  }

  gatherFrom(others: () => Promise<readonly (readonly MetricReading[])[]>): void {
    this.#others = others
  }

  async read(accept?: string): Promise<{ readonly contentType: string; readonly text: string }> {
    const form = formFor(accept)
    const readings = sumOf(await this.readings(), await this.#others())
    return { contentType: CONTENT_TYPES[form], text: write(readings, form) }
  }

  async readings(): Promise<readonly MetricReading[]> {
    await Promise.all(this.#refresh.map((refresh) => this.#guarded(refresh)))
    const more = (await this.#options.more?.()) ?? []
    const ours = [...this.#families.values()].map((family) => ({
      name: family.spec.name,
      help: family.spec.help,
      type: family.kind,
      samples: family.samples(),
    }))
    return [...ours, ...more]
  }

  #family<S extends Series, Label extends string>(kind: Kind, spec: Spec, create: () => S): Family<S, Label> {
    const known = this.#families.get(spec.name)
    known?.checkSame(kind, spec)
    // Of one kind with the same buckets, so of the same class.
    if (known) return known as unknown as SeriesFamily<S>
    const family = new SeriesFamily(kind, spec, create, this.#options.maxSeries, () => this.#dropped.add())
    this.#families.set(spec.name, family as unknown as SeriesFamily<Series>)
    return family
  }

  async #guarded(refresh: () => void | Promise<void>): Promise<void> {
    try {
      await refresh()
    } catch (error) {
      this.#options.logger?.().warn('some metrics could not be refreshed', { error: String(error) })
    }
  }
}
