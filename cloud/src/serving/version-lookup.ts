import type { Registry, VersionRecord } from '@tideway/core'

/** How long an alias that another process may have moved is still believed. */
const ALIAS_MS = 1_000
/** Names and versions that are remembered; each is some hundred bytes. */
const MAX_ENTRIES = 1_000

interface Entry {
  readonly version: Promise<VersionRecord>
  /** Milliseconds on the clock; a version is one for ever. */
  readonly until: number
  /** Once it is there. */
  record: VersionRecord | undefined
}

/**
 * The registry's `resolve` without a query for each request, which takes many times as long as a small model's run. What
 * this process registers and which aliases it moves is seen at once, what others do within a second. Not remembered where
 * the registry does not tell of its changes.
 */
export class VersionLookup {
  readonly #registry: Registry
  readonly #now: () => number
  readonly #remembers: boolean
  /** By model, then by what was asked for: a change concerns all of a model's aliases. */
  readonly #models = new Map<string, Map<string, Entry>>()
  #entries = 0

  constructor(registry: Registry, now: () => number = () => performance.now()) {
    this.#registry = registry
    this.#now = now
    this.#remembers = registry.onChange?.((model) => this.#forget(model)) !== undefined
  }

  /** What `resolve` would give, where that is known at once. */
  known(model: string, wanted: string): VersionRecord | undefined {
    const entry = this.#models.get(model)?.get(wanted)
    return entry && this.#now() < entry.until ? entry.record : undefined
  }

  /** Throws `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`. */
  resolve(model: string, wanted: string): Promise<VersionRecord> {
    if (!this.#remembers) return this.#registry.resolve(model, wanted)
    const known = this.#models.get(model)?.get(wanted)
    if (known && this.#now() < known.until) return known.version
    const version = this.#registry.resolve(model, wanted)
    const until = /^\d+$/.test(wanted) ? Number.POSITIVE_INFINITY : this.#now() + ALIAS_MS
    const entry: Entry = { version, until, record: undefined }
    this.#remember(model, wanted, entry)
    version.then(
      (record) => {
        entry.record = record
      },
      // What is not there may be a moment later, and a store that failed may answer.
      () => this.#drop(model, wanted, version),
    )
    return version
  }

  #remember(model: string, wanted: string, entry: Entry): void {
    if (this.#entries >= MAX_ENTRIES) {
      this.#models.clear()
      this.#entries = 0
    }
    const entries = this.#models.get(model) ?? new Map<string, Entry>()
    this.#models.set(model, entries)
    if (!entries.has(wanted)) this.#entries++
    entries.set(wanted, entry)
  }

  /** A query that is under way may have read what was there before: its entry goes, too. */
  #forget(model: string): void {
    this.#entries -= this.#models.get(model)?.size ?? 0
    this.#models.delete(model)
  }

  #drop(model: string, wanted: string, version: Promise<VersionRecord>): void {
    const entries = this.#models.get(model)
    if (entries?.get(wanted)?.version !== version) return
    entries.delete(wanted)
    this.#entries--
    if (entries.size === 0) this.#models.delete(model)
  }
}
