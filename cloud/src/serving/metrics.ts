import type {
  CacheTotals,
  Counter,
  Family,
  Gauge,
  Histogram,
  Kept,
  Metrics,
  VersionLabels,
  VersionRecord,
} from '@tideway/core'
import { labelsOf, VersionSeries, versionLabels } from '@tideway/core/serving'
import type { Batch } from './batch.js'
import type { Closed } from './waiting.js'

/** A version that is in memory, as it is when metrics are read. */
export interface LoadedVersion {
  readonly version: VersionRecord
  /** Of its file. */
  readonly bytes: number
  readonly waiting: { readonly requests: number; readonly rows: number }
}

type Label = (typeof versionLabels)[number]

const LOAD_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]
const ROWS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]

/** What is counted of loading and batching, which the doors to the models do not see. */
export class ServingMetrics {
  readonly #batches: VersionSeries<BatchSeries>
  readonly #loads: Family<Counter, 'result'>
  readonly #loadSeconds: Histogram
  readonly #evictions: Counter
  readonly #switches: Family<Counter, 'result'>

  /** `loaded` and `cache` are asked whenever metrics are read. */
  constructor(
    metrics: Metrics,
    loaded: () => readonly LoadedVersion[],
    cache: () => CacheTotals | undefined = () => undefined,
  ) {
    const batches = batchFamilies(metrics)
    const inUse = () => loaded().map(({ version }) => version)
    this.#batches = new VersionSeries((labels) => new BatchSeries(batches, labels), undefined, inUse)
    const counter = (name: string, help: string) => metrics.counter({ name, help, labels: ['result'] })
    this.#loads = counter('tideway_model_loads_total', 'Loads of versions that ended, done or failed')
    this.#loadSeconds = metrics
      .histogram({
        name: 'tideway_model_load_duration_seconds',
        help: 'Of loads that were done: chunks read, engine tuned and tried',
        buckets: LOAD_SECONDS,
      })
      .of({})
    const evictions = 'Versions that were freed for others: the least recently used'
    this.#evictions = metrics.counter({ name: 'tideway_model_evictions_total', help: evictions }).of({})
    this.#switches = counter(
      'tideway_model_switches_total',
      'Aliases that came to be answered by another version, or failed to',
    )
    // What has not happened is told as zero: the first failure would not show as an increase otherwise.
    for (const result of ['done', 'failed']) for (const ends of [this.#loads, this.#switches]) ends.of({ result })
    const cached = counter(
      'tideway_inference_cache_total',
      'Requests by what the cache of answers made of them: hit, miss, bypassed',
    )
    const tell = teller(metrics)
    metrics.onRead(() => {
      this.#batches.forgetUnused()
      tell(loaded())
      const totals = cache()
      if (totals === undefined) return
      cached.of({ result: 'hit' }).reach(totals.hits)
      cached.of({ result: 'miss' }).reach(totals.misses)
      cached.of({ result: 'bypassed' }).reach(totals.bypassed)
    })
  }

  batch(version: VersionRecord, batch: Batch): void {
    this.#batches.of(version).count(batch)
  }

  loadEnded(result: 'done' | 'failed', ms: number): void {
    this.#loads.of({ result }).add()
    if (result === 'done') this.#loadSeconds.observe(ms / 1_000)
  }

  evicted(): void {
    this.#evictions.add()
  }

  switchEnded(result: 'done' | 'failed'): void {
    this.#switches.of({ result }).add()
  }
}

interface BatchFamilies {
  readonly batches: Family<Counter, Label | 'closed'>
  readonly rows: Family<Histogram, Label>
}

function batchFamilies(metrics: Metrics): BatchFamilies {
  return {
    batches: metrics.counter({
      name: 'tideway_inference_batches_total',
      help: 'Runs that were begun, by why no more requests went into them: free, full, delay, shape or alone',
      labels: [...versionLabels, 'closed'],
    }),
    rows: metrics.histogram({
      name: 'tideway_inference_batch_rows',
      help: 'Rows of runs that were begun',
      labels: versionLabels,
      buckets: ROWS,
    }),
  }
}

class BatchSeries implements Kept {
  readonly #rows: Histogram
  readonly #closed = new Map<Closed, Counter>()

  constructor(
    private readonly families: BatchFamilies,
    private readonly labels: VersionLabels,
  ) {
    this.#rows = families.rows.of(labels)
  }

  count({ closed, rows }: Batch): void {
    const series = this.#closed.get(closed) ?? this.families.batches.of({ ...this.labels, closed })
    this.#closed.set(closed, series)
    series.add()
    this.#rows.observe(rows)
  }

  remove(): void {
    this.families.rows.remove(this.labels)
    for (const closed of this.#closed.keys()) this.families.batches.remove({ ...this.labels, closed })
  }
}

/** Tells of what is loaded now, and of nothing else. */
function teller(metrics: Metrics): (loaded: readonly LoadedVersion[]) => void {
  const gauge = <L extends string>(name: string, help: string, labels: readonly L[]) =>
    new Current(metrics.gauge({ name, help, labels }))
  const bytes = gauge('tideway_model_bytes', 'Files of versions that are loaded', versionLabels)
  const info = gauge('tideway_model_info', 'Versions that are loaded, with their whole digest: 1', [
    ...versionLabels,
    'manifest_digest',
  ])
  const rows = gauge('tideway_inference_queued_rows', 'Rows that wait for a run', versionLabels)
  const pending = gauge('nv_inference_pending_request_count', 'Requests that wait for a run', ['model', 'version'])
  const count = metrics.gauge({ name: 'tideway_models_loaded', help: 'Versions that are loaded' }).of({})
  return (loaded) => {
    count.set(loaded.length)
    const all = loaded.map((one) => ({ ...one, labels: labelsOf(one.version) }))
    bytes.tell(all.map((one) => [one.labels, one.bytes]))
    info.tell(all.map(({ labels, version }) => [{ ...labels, manifest_digest: version.manifestDigest }, 1]))
    rows.tell(all.map(({ labels, waiting }) => [labels, waiting.rows]))
    pending.tell(all.map(({ labels: { model, version }, waiting }) => [{ model, version }, waiting.requests]))
  }
}

/** A gauge whose series are those that were told last. */
class Current<L extends string> {
  #told: readonly Readonly<Record<L, string>>[] = []

  constructor(private readonly family: Family<Gauge, L>) {}

  tell(values: readonly (readonly [Readonly<Record<L, string>>, number])[]): void {
    for (const labels of this.#told) this.family.remove(labels)
    for (const [labels, value] of values) this.family.of(labels).set(value)
    this.#told = values.map(([labels]) => labels)
  }
}
