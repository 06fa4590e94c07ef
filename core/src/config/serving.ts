/** How the cloud runs models for requests; everything may be left out. */
export interface ServingConfig {
  /** Rows of one run at most; a request of more rows runs alone. */
  readonly maxBatchRows?: number | undefined
  /**
   * How long a request that waits behind a run may wait for others, in milliseconds: larger batches for longer waiting. One
   * that finds the model idle never waits.
   */
  readonly maxDelayMs?: number | undefined
  /** Rows of a version that wait at most; a request with more is refused with 429. */
  readonly maxQueuedRows?: number | undefined
  /** Versions that are kept loaded. */
  readonly maxModels?: number | undefined
  /** Size of the files of the versions that are kept loaded, in bytes. By default a quarter of the machine's memory. */
  readonly maxModelBytes?: number | undefined
  /** Cores that the runs of this process may use; by default all. */
  readonly threads?: number | undefined
  /** Answers that are kept for requests with the same inputs; left out: none. */
  readonly cache?: ServingCacheConfig | undefined
}

export interface ServingCacheConfig {
  /** Of all answers that are kept: the least recently used give way. */
  readonly maxBytes?: number | undefined
  readonly maxEntries?: number | undefined
  /** Requests whose inputs are larger are run every time. */
  readonly maxRequestBytes?: number | undefined
  /** Models whose answers are kept; left out: all that answer the same inputs in the same way. */
  readonly models?: readonly string[] | undefined
}

/** Undefined where it is left to the machine (`maxModelBytes`), off (`cache`), or all (`models`). */
export interface ResolvedServing {
  readonly maxBatchRows: number
  readonly maxDelayMs: number
  readonly maxQueuedRows: number
  readonly maxModels: number
  readonly maxModelBytes: number | undefined
  readonly threads: number | undefined
  readonly cache: ResolvedServingCache | undefined
}

export interface ResolvedServingCache {
  readonly maxBytes: number
  readonly maxEntries: number
  readonly maxRequestBytes: number
  readonly models: readonly string[] | undefined
}

export const servingDefaults = Object.freeze({
  maxBatchRows: 32,
  maxDelayMs: 0,
  maxQueuedRows: 4_096,
  maxModels: 8,
})

export const servingCacheDefaults = Object.freeze({
  maxBytes: 64 * 2 ** 20,
  maxEntries: 100_000,
  maxRequestBytes: 2 ** 20,
})

/** Fills in the defaults; later configurations win over earlier ones, field by field, the cache as one. */
export function resolveServing(...configs: readonly ServingConfig[]): ResolvedServing {
  const given: ServingConfig = Object.assign({}, ...configs.map(said))
  const { maxModelBytes, threads, cache } = given
  return Object.freeze({
    ...servingDefaults,
    ...given,
    maxModelBytes,
    threads,
    cache: cache && Object.freeze({ ...servingCacheDefaults, models: undefined, ...said(cache) }),
  }) as ResolvedServing
}

/** Without what is undefined, which says nothing. */
export function said<T extends object>(config: T): Partial<T> {
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined)) as Partial<T>
}
