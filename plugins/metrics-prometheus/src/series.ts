import type { Counter, Gauge, Histogram, MetricExemplar, MetricLabels, MetricSample } from '@tideway/core'

export interface Series {
  samples(labels: MetricLabels): MetricSample[]
}

export class CounterSeries implements Counter, Series {
  #total = 0

  add(amount = 1): void {
    if (amount >= 0) this.#total += amount
  }

  reach(total: number): void {
    if (total >= 0) this.#total = total
  }

  samples(labels: MetricLabels): MetricSample[] {
    return [{ suffix: '', labels, value: this.#total }]
  }
}

export class GaugeSeries implements Gauge, Series {
  #value = 0

  set(value: number): void {
    this.#value = value
  }

  samples(labels: MetricLabels): MetricSample[] {
    return [{ suffix: '', labels, value: this.#value }]
  }
}

export class HistogramSeries implements Histogram, Series {
  readonly #bounds: readonly number[]
  /** Of each bucket alone, and what is above the last bound. */
  readonly #counts: number[]
  readonly #exemplars: (MetricExemplar | undefined)[] = []
  #sum = 0

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = Array(bounds.length + 1).fill(0)
  }

  observe(value: number, traceId?: string): void {
    // A sum that is no number stays none.
    if (!Number.isFinite(value)) return
    const bounds = this.#bounds
    let at = 0
    while (at < bounds.length && value > (bounds[at] as number)) at++
    this.#counts[at] = (this.#counts[at] as number) + 1
    this.#sum += value
    if (traceId !== undefined) this.#exemplars[at] = { traceId, value, at: Date.now() / 1000 }
  }

  samples(labels: MetricLabels): MetricSample[] {
    let count = 0
    const buckets = this.#counts.map((own, at) => {
      count += own
      const le = this.#bounds[at] ?? '+Inf'
      return { suffix: '_bucket', labels: { ...labels, le }, value: count, exemplar: this.#exemplars[at] }
    })
    return [...buckets, { suffix: '_sum', labels, value: this.#sum }, { suffix: '_count', labels, value: count }]
  }
}
