import type { InferTiming } from '../contracts/cloud.js'
import { type Metrics, nullMetrics } from '../contracts/metrics.js'
import { type VersionsInUse, versionsToForget } from '../telemetry/gone.js'
import { InferenceObserver } from '../telemetry/inference-observer.js'
import type { VersionTotals } from '../telemetry/triton.js'

/** How often something was done, and how long it took in all (Triton, docs/protocol/extension_statistics.md). */
export interface DurationStat {
  readonly count: number
  readonly ns: number
}

/** What is known of one request that was answered; durations are nanoseconds. */
export interface Measured {
  /** Of the request, and of the run that it shared with others. */
  readonly rows: number
  readonly batchSize: number
  /** Whether the run is counted with this request. */
  readonly leads: boolean
  readonly totalNs: number
  /** Undefined where the host does not measure it. */
  readonly queueNs?: number
  /** From bytes to tensors, of the run, and from tensors to bytes. */
  readonly inputNs: number
  readonly inferNs: number
  readonly outputNs: number
  /** What the cache of answers made of it; undefined where there is none. */
  readonly cache?: InferTiming['cache']
}

type StageStats = Readonly<Record<(typeof STAGES)[number], DurationStat>>

/** `$model_stat` of the extension. */
export interface ModelStat {
  readonly name: string
  readonly version: string
  /** Milliseconds since 1970; 0 for never. */
  readonly last_inference: number
  readonly inference_count: number
  readonly execution_count: number
  readonly inference_stats: StageStats & {
    readonly success: DurationStat
    readonly fail: DurationStat
    readonly queue: DurationStat
    readonly cache_hit: DurationStat
    readonly cache_miss: DurationStat
  }
  readonly batch_stats: readonly (StageStats & { readonly batch_size: number })[]
}

/** Each client may ask for any batch size; further ones count in the totals alone. */
const MAX_BATCH_SIZES = 1_000

const STAGES = ['compute_input', 'compute_infer', 'compute_output'] as const
type Stages = Record<(typeof STAGES)[number], Duration>

/** One version of a model, since this process began. */
export class VersionStatistics {
  readonly #beganAt = Date.now()
  #lastInference = 0
  #inferences = 0
  #executions = 0
  readonly #success = new Duration()
  readonly #fail = new Duration()
  readonly #queue = new Duration()
  readonly #cache = { hit: new Duration(), miss: new Duration() }
  readonly #stages = stages()
  readonly #batches = new Map<number, Stages>()

  succeeded({ rows, batchSize, leads, totalNs, queueNs, inputNs, inferNs, outputNs, cache }: Measured): void {
    this.#lastInference = Date.now()
    if (cache?.result !== 'hit') this.#inferences += rows
    if (leads) this.#executions++
    this.#success.add(totalNs)
    if (queueNs !== undefined) this.#queue.add(queueNs)
    if (cache && cache.result !== 'bypass') this.#cache[cache.result].add(cache.ns)
    // It was not computed.
    if (cache?.result === 'hit') return
    const batch = leads ? this.#batchOf(batchSize) : undefined
    for (const group of batch ? [this.#stages, batch] : [this.#stages]) {
      group.compute_input.add(inputNs)
      group.compute_infer.add(inferNs)
      group.compute_output.add(outputNs)
    }
  }

  /** Milliseconds since 1970. */
  get usedAt(): number {
    return Math.max(this.#beganAt, this.#lastInference)
  }

  failed(totalNs: number): void {
    this.#lastInference = Date.now()
    this.#fail.add(totalNs)
  }

  /** Adds what another process counted. */
  absorb({ last_inference, inference_count, execution_count, inference_stats, batch_stats }: ModelStat): void {
    this.#lastInference = Math.max(this.#lastInference, last_inference)
    this.#inferences += inference_count
    this.#executions += execution_count
    this.#success.absorb(inference_stats.success)
    this.#fail.absorb(inference_stats.fail)
    this.#queue.absorb(inference_stats.queue)
    this.#cache.hit.absorb(inference_stats.cache_hit)
    this.#cache.miss.absorb(inference_stats.cache_miss)
    for (const stage of STAGES) this.#stages[stage].absorb(inference_stats[stage])
    for (const { batch_size, ...stats } of batch_stats) {
      const batch = this.#batchOf(batch_size)
      for (const stage of STAGES) batch?.[stage].absorb(stats[stage])
    }
  }

  get totals(): VersionTotals {
    const { compute_input, compute_infer, compute_output } = this.#stages
    return {
      answered: this.#success.stat.count,
      rows: this.#inferences,
      runs: this.#executions,
      totalNs: this.#success.stat.ns,
      queueNs: this.#queue.stat.ns,
      inputNs: compute_input.stat.ns,
      inferNs: compute_infer.stat.ns,
      outputNs: compute_output.stat.ns,
      cacheHits: this.#cache.hit.stat.count,
      cacheHitNs: this.#cache.hit.stat.ns,
      cacheMisses: this.#cache.miss.stat.count,
      cacheMissNs: this.#cache.miss.stat.ns,
    }
  }

  /** `$model_stat` of the extension, for `JSON.stringify`. */
  toJson(name: string, version: string): ModelStat {
    const batches = [...this.#batches].sort(([a], [b]) => a - b)
    return {
      name,
      version,
      last_inference: this.#lastInference,
      inference_count: this.#inferences,
      execution_count: this.#executions,
      inference_stats: {
        success: this.#success.stat,
        fail: this.#fail.stat,
        queue: this.#queue.stat,
        ...statsOf(this.#stages),
        cache_hit: this.#cache.hit.stat,
        cache_miss: this.#cache.miss.stat,
      },
      batch_stats: batches.map(([size, group]) => ({ batch_size: size, ...statsOf(group) })),
    }
  }

  #batchOf(size: number): Stages | undefined {
    const known = this.#batches.get(size)
    if (known || this.#batches.size >= MAX_BATCH_SIZES) return known
    const batch = stages()
    this.#batches.set(size, batch)
    return batch
  }
}

/** Asks all processes that answer for the same models, this one among them. */
export type AllStatistics = () => Promise<readonly ModelStat[]>

/**
 * Of every version that was asked for, for the extension; and the same requests as metrics and traces. Of versions that are no
 * longer in memory, where that is known (`inUse`), the last 64.
 */
export class Statistics {
  readonly observer: InferenceObserver
  readonly #models = new Map<string, Map<string, VersionStatistics>>()
  #all: AllStatistics | undefined

  /** Where other processes answer for the same models. */
  gatherFrom(all: AllStatistics): void {
    this.#all = all
  }

  /** With what other processes counted for the same models; of this process alone where there are none. */
  async whole(): Promise<Statistics> {
    if (this.#all === undefined) return this
    const whole = new Statistics()
    for (const stat of await this.#all()) whole.of(stat.name, stat.version).absorb(stat)
    return whole
  }

  toJson(): readonly ModelStat[] {
    return this.known().map(([model, version]) => this.of(model, version).toJson(model, version))
  }

  constructor(
    metrics: Metrics = nullMetrics,
    private readonly inUse?: VersionsInUse,
  ) {
    this.observer = new InferenceObserver(metrics, (model, version) => this.of(model, version).totals)
  }

  of(model: string, version: string): VersionStatistics {
    return this.#models.get(model)?.get(version) ?? this.#begin(model, version)
  }

  /** Names and versions that there are statistics of. */
  known(): readonly (readonly [string, string])[] {
    return [...this.#models].flatMap(([model, versions]) =>
      [...versions.keys()].map((version) => [model, version] as const),
    )
  }

  #begin(model: string, version: string): VersionStatistics {
    const statistics = new VersionStatistics()
    const versions = this.#models.get(model) ?? new Map<string, VersionStatistics>()
    this.#models.set(model, versions.set(version, statistics))
    if (this.inUse) this.#forgetGone(this.inUse)
    return statistics
  }

  #forgetGone(inUse: VersionsInUse): void {
    const counted = [...this.#models].flatMap(([model, versions]) =>
      [...versions].map(([version, { usedAt }]) => ({ model, version, usedAt })),
    )
    for (const { model, version } of versionsToForget(counted, inUse)) {
      const versions = this.#models.get(model)
      versions?.delete(version)
      if (versions?.size === 0) this.#models.delete(model)
      this.observer.forget(model, version)
    }
  }
}

class Duration {
  #count = 0
  #ns = 0

  add(ns: number): void {
    this.#count++
    this.#ns += ns
  }

  absorb({ count, ns }: DurationStat): void {
    this.#count += count
    this.#ns += ns
  }

  get stat(): DurationStat {
    return { count: this.#count, ns: this.#ns }
  }
}

function stages(): Stages {
  return { compute_input: new Duration(), compute_infer: new Duration(), compute_output: new Duration() }
}

function statsOf(group: Stages): StageStats {
  return Object.fromEntries(STAGES.map((stage) => [stage, group[stage].stat])) as unknown as StageStats
}
