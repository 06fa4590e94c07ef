import type { Registry, VersionRecord } from '@tideway/core'

/** How long what an alias names is taken for true: what another process moves takes effect here within that time. */
const FRESH_MS = 250
/** Names are the clients' to make up. */
const MAX_ENTRIES = 10_000

interface Entry {
  readonly record: Promise<VersionRecord>
  readonly until: number
}

/**
 * Which version is asked for, without asking the store for every request: a number always names the same one, an alias
 * is looked up again after 250 ms. What is not found is not remembered.
 */
export class VersionLookup {
  private readonly entries = new Map<string, Entry>()

  constructor(private readonly registry: () => Registry) {}

  /** Throws `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`. */
  resolve(model: string, wanted: string): Promise<VersionRecord> {
    const key = `${model} ${wanted}`
    const known = this.entries.get(key)
    if (known !== undefined && known.until > performance.now()) return known.record
    const record = this.registry().resolve(model, wanted)
    const isFixed = /^\d+$/.test(wanted)
    if (this.entries.size >= MAX_ENTRIES) this.entries.clear()
    const entry = { record, until: isFixed ? Number.POSITIVE_INFINITY : performance.now() + FRESH_MS }
    this.entries.set(key, entry)
    record.catch(() => {
      if (this.entries.get(key) === entry) this.entries.delete(key)
    })
    return record
  }

  /** Looks everything up again. */
  clear(): void {
    this.entries.clear()
  }
}
