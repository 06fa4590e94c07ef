import type { Family, HistogramSpec, MetricLabels, MetricSample } from '@tideway/core'
import { errors } from './errors.js'
import type { Series } from './series.js'

export type Kind = 'counter' | 'gauge' | 'histogram'

/** As any kind of metric is asked for. */
export type Spec = Omit<HistogramSpec<string>, 'buckets'> & { readonly buckets?: readonly number[] }

interface Held<S> {
  readonly labels: MetricLabels
  readonly series: S
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const LABEL = /^(?!__)(?!le$)[a-zA-Z_][a-zA-Z0-9_]*$/

/** All series of one metric. Beyond `maxSeries`, further ones count where nobody reads: `onDropped` is told. */
export class SeriesFamily<S extends Series> implements Family<S, string> {
  readonly #names: readonly string[]
  readonly #held = new Map<string, Held<S>>()

  constructor(
    readonly kind: Kind,
    readonly spec: Spec,
    private readonly create: () => S,
    private readonly maxSeries: number,
    private readonly onDropped: () => void,
  ) {
    this.#names = spec.labels ?? []
    check(spec)
    // Without labels there is one series, and its zero says that nothing has happened yet.
    if (this.#names.length === 0) this.of({})
  }

  of(labels: MetricLabels): S {
    const key = this.#keyOf(labels)
    const held = this.#held.get(key)
    if (held) return held.series
    const series = this.create()
    if (this.#held.size >= this.maxSeries) this.onDropped()
    else this.#held.set(key, { labels: this.#ordered(labels), series })
    return series
  }

  remove(labels: MetricLabels): void {
    this.#held.delete(this.#keyOf(labels))
  }

  samples(): MetricSample[] {
    return [...this.#held.values()].flatMap(({ labels, series }) => series.samples(labels))
  }

  /** Throws `METRIC_CONFLICT` where `spec` is of another metric. */
  checkSame(kind: Kind, spec: Spec): void {
    const listed = (list: readonly (string | number)[] = []) => list.join(', ') || 'none'
    const conflict = (reason: string) => errors.METRIC_CONFLICT({ metric: spec.name, reason })
    if (kind !== this.kind) throw conflict(`a ${this.kind}, not a ${kind}`)
    if (listed(spec.labels) !== listed(this.#names))
      throw conflict(`its labels are ${listed(this.#names)}, not ${listed(spec.labels)}`)
    if (listed(spec.buckets) !== listed(this.spec.buckets)) throw conflict('it has other buckets')
  }

  #keyOf(labels: MetricLabels): string {
    // Unlike a joined string of values, whatever they hold.
    return JSON.stringify(this.#names.map((name) => labels[name]))
  }

  #ordered(labels: MetricLabels): MetricLabels {
    return Object.fromEntries(this.#names.map((name) => [name, labels[name] ?? '']))
  }
}

function check({ name, labels = [], buckets = [] }: Spec): void {
  const issues = [
    ...(NAME.test(name) ? [] : ['the name is none of Prometheus']),
    ...labels.filter((label) => !LABEL.test(label)).map((label) => `${label} is no name for a label`),
    ...(buckets.every((bound, at) => at === 0 || bound > (buckets[at - 1] as number))
      ? []
      : ['its buckets do not rise']),
  ]
  if (issues.length > 0) throw errors.METRIC_INVALID({ metric: name, issues })
}
