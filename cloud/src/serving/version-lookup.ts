import type { Registry, VersionRecord } from '@tideway/core'

/** How long an alias that another process may have moved is still believed. */
const ALIAS_MS = 1_000
/** It is asked for ahead of that, so that no request waits for the answer. */
const AGEING_MS = 500
/** Names and versions that are remembered; each is some hundred bytes. */
const MAX_ENTRIES = 1_000

interface Entry {
  readonly version: Promise<VersionRecord>
  /** Milliseconds on the clock; a version is one for ever. */
  readonly until: number
  /** When it is asked for again. */
  renewAt: number
  /** Once it is there. */
  record: VersionRecord | undefined
  /** What was asked for ahead of its end. */
  next: Entry | undefined
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
    return this.#entry(model, wanted)?.record
  }

  /** Throws `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`. */
  resolve(model: string, wanted: string): Promise<VersionRecord> {
    if (!this.#remembers) return this.#registry.resolve(model, wanted)
    const known = this.#entry(model, wanted)
    if (known) return known.version
    const entry = this.#ask(model, wanted)
    const { version } = entry
    this.#remember(model, wanted, entry)
    // What is not there may be a moment later, and a store that failed may answer.
    version.catch(() => this.#drop(model, wanted, version))
    return version
  }

  /** One that is still believed. */
  #entry(model: string, wanted: string): Entry | undefined {
    const entry = this.#models.get(model)?.get(wanted)
    const now = this.#now()
    if (entry === undefined) return undefined
    if (now >= entry.until) return this.#following(model, wanted, entry, now)
    if (now >= entry.renewAt) this.#renew(model, wanted, entry)
    return entry
  }

  /** The next one, where it has been asked for and has not come. */
  #following(model: string, wanted: string, { next }: Entry, now: number): Entry | undefined {
    if (next === undefined || now >= next.until) return undefined
    this.#models.get(model)?.set(wanted, next)
    return next
  }

  #ask(model: string, wanted: string): Entry {
    const asked = /^\d+$/.test(wanted) ? Number.POSITIVE_INFINITY : this.#now()
    const version = this.#registry.resolve(model, wanted)
    const entry: Entry = {
      version,
      until: asked + ALIAS_MS,
      renewAt: asked + AGEING_MS,
      record: undefined,
      next: undefined,
    }
    version.then(
      (record) => {
        entry.record = record
      },
      () => undefined,
    )
    return entry
  }

  /** Puts a new one in the place of an entry that is believed until then, and to its end where there is no answer. */
  #renew(model: string, wanted: string, entry: Entry): void {
    entry.renewAt = Number.POSITIVE_INFINITY
    const renewed = this.#ask(model, wanted)
    entry.next = renewed
    renewed.version.then(
      () => {
        const entries = this.#models.get(model)
        // Not where it was forgotten since: the query may have read what was there before.
        if (entries?.get(wanted) === entry) entries.set(wanted, renewed)
      },
      () => {
        entry.next = undefined
        this.#drop(model, wanted, renewed.version)
      },
    )
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
