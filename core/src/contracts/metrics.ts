/** A total that only rises. */
export interface Counter {
  /** Adds 1, or an amount that is not negative. */
  add(amount?: number): void
  /** Raises it to a total that something else counts; a lower one is a new beginning. */
  reach(total: number): void
}

/** A value that rises and falls. */
export interface Gauge {
  set(value: number): void
}

/** How values are spread. */
export interface Histogram {
  /** `traceId` of a sampled trace leads from a bucket of the histogram to an example of what is in it. */
  observe(value: number, traceId?: string): void
}

/**
 * One metric in all its series. A series is taken out once and kept: its methods look nothing up, so that they cost
 * nanoseconds where requests are answered. Who makes series bounds their number: no label may hold what a client chose
 * unless it names something that there is.
 */
export interface Family<Series, Label extends string> {
  /** The series with these labels, made on first use. */
  of(labels: Readonly<Record<Label, string>>): Series
  /** Forgets a series; a handle of it that somebody still has goes on counting where nobody reads. */
  remove(labels: Readonly<Record<Label, string>>): void
}

export interface MetricSpec<Label extends string> {
  /** In Prometheus's form, with its unit: `tideway_model_load_duration_seconds`; a counter ends in `_total`. */
  readonly name: string
  readonly help: string
  readonly labels?: readonly Label[]
}

export interface HistogramSpec<Label extends string> extends MetricSpec<Label> {
  /** Upper bounds of the buckets, rising; what is above the last one is counted too. */
  readonly buckets: readonly number[]
}

export type MetricLabels = Readonly<Record<string, string | number>>

/** One line of a reading. */
export interface MetricSample {
  /** Behind the metric's own name: `_bucket`, `_sum`, or nothing. */
  readonly suffix: string
  readonly labels: MetricLabels
  readonly value: number
  readonly exemplar?: MetricExemplar | undefined
}

/** What led to a value of a bucket (OpenMetrics, "Exemplars"). */
export interface MetricExemplar {
  readonly traceId: string
  readonly value: number
  /** Seconds since 1970. */
  readonly at: number
}

/** One metric as it is read; plain data, as it travels between processes. */
export interface MetricReading {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly samples: readonly MetricSample[]
}

/**
 * Where parts of a process count. Asked for a name again with the same labels it gives the same family, so that parts that
 * know nothing of one another may share one. Throws `METRIC_CONFLICT` when the labels, kind or buckets differ.
 *
 * @example
 * const loads = metrics.counter({ name: 'tideway_model_loads_total', help: 'Loads that ended', labels: ['result'] })
 * const failed = loads.of({ result: 'failed' })
 * failed.add()
 */
export interface Metrics {
  counter<Label extends string = never>(spec: MetricSpec<Label>): Family<Counter, Label>
  gauge<Label extends string = never>(spec: MetricSpec<Label>): Family<Gauge, Label>
  histogram<Label extends string = never>(spec: HistogramSpec<Label>): Family<Histogram, Label>
  /** Calls `refresh` before each reading, for what is cheaper to look up then than to keep current. One that throws is left out. */
  onRead(refresh: () => void | Promise<void>): void
  /** All series as text, in the best form that an HTTP `Accept` header allows. */
  read(accept?: string): Promise<{ readonly contentType: string; readonly text: string }>
  /** What this process counted, for another that tells of both. */
  readings?(): Promise<readonly MetricReading[]>
  /** Where other processes do the same work: what they counted is told with what this one did, in sum. */
  gatherFrom?(others: () => Promise<readonly (readonly MetricReading[])[]>): void
}

const series: Counter & Gauge & Histogram = { add() {}, reach() {}, set() {}, observe() {} }
const family = { of: () => series, remove() {} }

/** Counts nothing. */
export const nullMetrics: Metrics = {
  counter: () => family,
  gauge: () => family,
  histogram: () => family,
  onRead() {},
  read: async () => ({ contentType: 'text/plain; version=0.0.4; charset=utf-8', text: '' }),
}
