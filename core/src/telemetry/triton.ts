import type { Counter, Family, Metrics } from '../contracts/metrics.js'

/** What is counted of a version anyway, for the statistics extension; durations are nanoseconds. */
export interface VersionTotals {
  readonly answered: number
  readonly rows: number
  readonly runs: number
  readonly totalNs: number
  readonly queueNs: number
  readonly inputNs: number
  readonly inferNs: number
  readonly outputNs: number
  /** Looked up in the cache of answers, where there is one. */
  readonly cacheHits: number
  readonly cacheHitNs: number
  readonly cacheMisses: number
  readonly cacheMissNs: number
}

type Labels = Readonly<Record<'model' | 'version', string>>
type Reason = 'REJECTED' | 'CANCELED' | 'BACKEND' | 'OTHER'

/** Triton's reasons for failures, by our codes: not run for want of room or time, given up by the client, failed in its run. */
const REASONS: Readonly<Record<string, Reason>> = {
  SERVING_BUSY: 'REJECTED',
  DEADLINE_EXCEEDED: 'REJECTED',
  CLIENT_GONE: 'CANCELED',
  RUN_FAILED: 'BACKEND',
}

const COUNTERS = {
  success: ['nv_inference_request_success', 'Requests that were answered'],
  rows: ['nv_inference_count', 'Rows that were inferred'],
  runs: ['nv_inference_exec_count', 'Runs, which requests may share'],
  total: ['nv_inference_request_duration_us', 'Of requests that were answered, in all, in microseconds'],
  queue: ['nv_inference_queue_duration_us', 'Of it until their runs began, in microseconds'],
  input: ['nv_inference_compute_input_duration_us', 'Of it from bytes to tensors, in microseconds'],
  infer: ['nv_inference_compute_infer_duration_us', 'Of it in runs, in microseconds'],
  output: ['nv_inference_compute_output_duration_us', 'Of it from tensors to bytes, in microseconds'],
} as const

const CACHE_COUNTERS = {
  hits: ['nv_cache_num_hits_per_model', 'Requests that were answered with a kept answer'],
  misses: ['nv_cache_num_misses_per_model', 'Requests whose answer was looked up and not found'],
  hit: ['nv_cache_hit_duration_per_model', 'Of hits, looking up and copying, in microseconds'],
  miss: ['nv_cache_miss_duration_per_model', 'Of misses, looking up and keeping, in microseconds'],
} as const

export interface TritonFamilies extends Readonly<Record<keyof typeof COUNTERS, Family<Counter, keyof Labels>>> {
  readonly failures: Family<Counter, keyof Labels | 'reason'>
  readonly cache: Readonly<Record<keyof typeof CACHE_COUNTERS, Family<Counter, keyof Labels>>>
}

/**
 * The metrics of Triton that mean the same here (triton-inference-server/server, docs/user_guide/metrics.md), with its
 * labels, so that its dashboards and autoscalers work. Not told: its summaries, and those of its GPUs and machine, which the
 * exporters of those tell better.
 */
export function tritonFamilies(metrics: Metrics): TritonFamilies {
  const labels = ['model', 'version'] as const
  const counters = <K extends string>(table: Readonly<Record<K, readonly [string, string]>>) =>
    Object.fromEntries(
      Object.entries<readonly [string, string]>(table).map(([key, [name, help]]) => [
        key,
        metrics.counter({ name, help, labels }),
      ]),
    ) as Record<K, Family<Counter, keyof Labels>>
  const failures = metrics.counter({
    name: 'nv_inference_request_failure',
    help: 'Requests that were not answered, by Triton’s reasons',
    labels: [...labels, 'reason'],
  })
  return { ...counters(COUNTERS), failures, cache: counters(CACHE_COUNTERS) }
}

/** One version's series of them, told from totals when they are read: they cost nothing else. */
export class TritonSeries {
  readonly #failures = new Map<Reason, Counter>()

  constructor(
    private readonly families: TritonFamilies,
    private readonly labels: Labels,
  ) {}

  failed(code: string): void {
    const reason = REASONS[code] ?? 'OTHER'
    const known = this.#failures.get(reason) ?? this.families.failures.of({ ...this.labels, reason })
    this.#failures.set(reason, known)
    known.add()
  }

  tell(version: VersionTotals): void {
    const { answered, rows, runs, totalNs, queueNs, inputNs, inferNs, outputNs } = version
    const micros = (ns: number) => Math.round(ns / 1_000)
    const totals: Readonly<Record<keyof typeof COUNTERS, number>> = {
      success: answered,
      rows,
      runs,
      total: micros(totalNs),
      queue: micros(queueNs),
      input: micros(inputNs),
      infer: micros(inferNs),
      output: micros(outputNs),
    }
    for (const key of keys) this.families[key].of(this.labels).reach(totals[key])
    const { cacheHits: hits, cacheMisses: misses, cacheHitNs, cacheMissNs } = version
    // Without a cache there is nothing to tell of one.
    if (hits + misses === 0) return
    const cache = { hits, misses, hit: micros(cacheHitNs), miss: micros(cacheMissNs) }
    for (const key of cacheKeys) this.families.cache[key].of(this.labels).reach(cache[key])
  }

  remove(): void {
    for (const key of keys) this.families[key].remove(this.labels)
    for (const key of cacheKeys) this.families.cache[key].remove(this.labels)
    for (const reason of this.#failures.keys()) this.families.failures.remove({ ...this.labels, reason })
  }
}

const keys = Object.keys(COUNTERS) as (keyof typeof COUNTERS)[]
const cacheKeys = Object.keys(CACHE_COUNTERS) as (keyof typeof CACHE_COUNTERS)[]
