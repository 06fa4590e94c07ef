import type { Registry, ServedVersion, VersionRecord } from '@tideway/core'
import { errors } from '@tideway/core/serving'
import type { Batch, RowRunner } from './batch.js'
import type { Batcher } from './batcher.js'
import type { LoadedVersion, ServingMetrics } from './metrics.js'

export interface ModelHostOptions {
  readonly registry: () => Registry
  /**
   * Makes a session of a version's preferred variant; `bytes` is the size of its file. `runner` is what requests go to, where
   * that is not the batcher itself.
   */
  readonly load: (
    manifestDigest: string,
    onBatch: (batch: Batch) => void,
  ) => Promise<{ readonly batcher: Batcher; readonly runner?: RowRunner; readonly bytes: number }>
  readonly metrics?: () => ServingMetrics
  /** The size of that file, without loading it. */
  readonly sizeOf: (manifestDigest: string) => Promise<number>
  /** Versions kept loaded, and the size of their files in all: the least recently used are disposed of for others. */
  readonly maxSessions: number
  readonly maxBytes: number
}

interface Loaded {
  readonly model: string
  readonly version: VersionRecord
  readonly session: Promise<RowRunner>
  /** Once it is loaded, what requests go to. */
  runner: RowRunner | undefined
  batcher: Batcher | undefined
  /** Of its file, once it is loaded. */
  bytes: number
}

/**
 * The models that this process has in memory. A version is loaded by the first request for it, unless its model was
 * unloaded: that is remembered until the model is loaded again, or the process ends.
 */
export class ModelHost {
  readonly #options: ModelHostOptions
  /** By manifest digest. A Map keeps the order of insertion, so the first is the least recently used. */
  readonly #loaded = new Map<string, Loaded>()
  readonly #failures = new Map<string, string>()
  readonly #unloaded = new Set<string>()
  /** The one that was used last. */
  #last: Loaded | undefined
  /** By model, the manifest digests that are not evicted. */
  readonly #pinned = new Map<string, readonly string[]>()

  constructor(options: ModelHostOptions) {
    this.#options = options
  }

  /** The session of a version, loaded if need be. Throws `MODEL_UNLOADED`, and as loading does. */
  session(version: VersionRecord): Promise<RowRunner> {
    const { model, manifestDigest } = version
    if (this.#unloaded.has(model)) return Promise.reject(errors.MODEL_UNLOADED({ model }))
    const loaded = this.#loaded.get(manifestDigest) ?? this.#start(version)
    this.#put(manifestDigest, loaded)
    return loaded.session
  }

  /** The same where it is loaded and can be run without waiting. */
  ready(version: VersionRecord): RowRunner | undefined {
    const { model, manifestDigest } = version
    const loaded = this.#loaded.get(manifestDigest)
    if (loaded?.runner === undefined || this.#unloaded.has(model)) return undefined
    // Most requests are for what the one before was for.
    if (loaded !== this.#last) this.#put(manifestDigest, loaded)
    return loaded.runner
  }

  /** Whether a version is loaded and its model not unloaded; to ask makes no use of it. */
  isReady({ model, manifestDigest }: VersionRecord): boolean {
    return this.#loaded.get(manifestDigest)?.runner !== undefined && !this.#unloaded.has(model)
  }

  /** Forgets a session that is disposed of, but not one that was loaded in its place since. */
  forget(manifestDigest: string, session: RowRunner): void {
    if (this.#loaded.get(manifestDigest)?.runner === session) this.#loaded.delete(manifestDigest)
  }

  /** From now on these versions of a model, and no others of it, stay loaded once they are. */
  pin(model: string, manifestDigests: readonly string[]): void {
    if (manifestDigests.length === 0) this.#pinned.delete(model)
    else this.#pinned.set(model, manifestDigests)
    this.#evict()
  }

  /** Why these cannot all stay loaded beside what other models have pinned; undefined where they can. */
  async refusal(model: string, manifestDigests: readonly string[]): Promise<string | undefined> {
    const { maxSessions, maxBytes, sizeOf } = this.#options
    const others = [...this.#pinned].filter(([name]) => name !== model).flatMap(([, digests]) => digests)
    const all = [...new Set([...others, ...manifestDigests])]
    // One stays free for models without a policy.
    if (all.length >= maxSessions)
      return `${all.length} versions would have to stay loaded, ${others.length} of them for other models; there is room for ${maxSessions - 1}`
    const bytes = (await Promise.all(all.map(sizeOf))).reduce((sum, size) => sum + size, 0)
    if (bytes <= maxBytes) return undefined
    return `the versions that would have to stay loaded have ${bytes} bytes; there is room for ${Math.floor(maxBytes)}`
  }

  async load(model: string): Promise<void> {
    const version = await this.#options.registry().resolve(model, 'latest')
    const { manifestDigest } = version
    const fresh = this.#start(version)
    await fresh.session
    const old = this.#loaded.get(manifestDigest)
    this.#unloaded.delete(model)
    this.#put(manifestDigest, fresh)
    if (old) await dispose(old)
  }

  async unload(model: string): Promise<void> {
    await this.#options.registry().versions(model)
    this.#unloaded.add(model)
    this.#last = undefined
    const mine = [...this.#loaded].filter(([, loaded]) => loaded.model === model)
    for (const [digest] of mine) this.#loaded.delete(digest)
    await Promise.all(mine.map(([, loaded]) => dispose(loaded)))
  }

  /** What is in memory, for metrics. */
  loaded(): readonly LoadedVersion[] {
    return [...this.#loaded.values()].flatMap(({ version, bytes, batcher }) =>
      batcher === undefined ? [] : [{ version, bytes, waiting: batcher.waiting }],
    )
  }

  async index(): Promise<readonly ServedVersion[]> {
    const registry = this.#options.registry()
    const lists = (await registry.models()).map(async ({ name }) => {
      const versions = await registry.versions(name)
      return versions.map((record) => ({ model: name, version: String(record.version), ...this.#stateOf(record) }))
    })
    return (await Promise.all(lists)).flat()
  }

  async close(): Promise<void> {
    const all = [...this.#loaded.values()]
    this.#loaded.clear()
    for (const loaded of all) await dispose(loaded)
  }

  #stateOf({ model, manifestDigest }: VersionRecord): Pick<ServedVersion, 'state' | 'reason'> {
    const loaded = this.#loaded.get(manifestDigest)
    if (loaded) return { state: loaded.runner ? 'ready' : 'loading', reason: '' }
    if (this.#unloaded.has(model)) return { state: 'unavailable', reason: 'unloaded' }
    const failure = this.#failures.get(manifestDigest)
    return { state: 'unavailable', reason: failure ?? 'not loaded yet: the first request for it does that' }
  }

  #start(version: VersionRecord): Loaded {
    const { model, manifestDigest } = version
    const began = performance.now()
    const metrics = this.#options.metrics?.()
    const loading = this.#options.load(manifestDigest, (batch) => metrics?.batch(version, batch))
    const session = loading.then(({ batcher, runner = batcher }): RowRunner => runner)
    const loaded: Loaded = { model, version, session, runner: undefined, batcher: undefined, bytes: 0 }
    loading.then(
      ({ batcher, runner = batcher, bytes }) => {
        metrics?.loadEnded('done', performance.now() - began)
        loaded.runner = runner
        loaded.batcher = batcher
        loaded.bytes = bytes
        this.#evict()
        this.#failures.delete(manifestDigest)
      },
      (error: unknown) => {
        metrics?.loadEnded('failed', performance.now() - began)
        if (this.#loaded.get(manifestDigest) === loaded) this.#loaded.delete(manifestDigest)
        this.#failures.set(manifestDigest, error instanceof Error ? error.message : String(error))
      },
    )
    return loaded
  }

  #put(manifestDigest: string, loaded: Loaded): void {
    this.#loaded.delete(manifestDigest)
    this.#loaded.set(manifestDigest, loaded)
    this.#last = loaded
    this.#evict()
  }

  /** Frees the least recently used until what is loaded is within bounds: none that is pinned, nor the last one. */
  #evict(): void {
    const { maxSessions, maxBytes } = this.#options
    for (;;) {
      const bytes = [...this.#loaded.values()].reduce((sum, loaded) => sum + loaded.bytes, 0)
      if (this.#loaded.size <= maxSessions && bytes <= maxBytes) return
      const pinned = new Set([...this.#pinned.values()].flat())
      const oldest = [...this.#loaded].slice(0, -1).find(([digest]) => !pinned.has(digest))
      if (oldest === undefined) return
      this.#loaded.delete(oldest[0])
      this.#options.metrics?.().evicted()
      void dispose(oldest[1])
    }
  }
}

/** One that did not load has nothing to free; whoever asked for it was told why. */
async function dispose({ session }: Loaded): Promise<void> {
  await session.then((loaded) => loaded.dispose()).catch(() => undefined)
}
