import type { VersionRecord } from '../contracts/store.js'
import { type CountedVersion, type VersionsInUse, versionsToForget } from './gone.js'

/** Labels of every metric of a version. */
export const versionLabels = ['model', 'version', 'digest'] as const
export type VersionLabels = Readonly<Record<(typeof versionLabels)[number], string>>

/**
 * The manifest's digest is cut to 48 bits, which tell the versions of any registry apart; whole, it would be most of what a
 * reading consists of. `tideway_model_info` has it whole.
 */
const DIGEST_DIGITS = 12

/** How long series are kept of a version that nobody uses. */
const KEEP_MS = 3_600_000

/** What is counted of a version. */
export interface Kept {
  /** Takes its series out of their metrics. */
  remove(): void
}

interface Held<T> extends CountedVersion {
  readonly key: string
  readonly series: T
  usedAt: number
}

export function labelsOf({ model, version, manifestDigest }: VersionRecord): VersionLabels {
  return { model, version: String(version), digest: manifestDigest.slice(0, DIGEST_DIGITS) }
}

/**
 * Series of versions, made when a version is first used and removed when it has not been for an hour, or sooner where it is gone
 * (`versionsToForget`), so that a process that serves ever new versions does not tell of all of them for ever.
 */
export class VersionSeries<T extends Kept> {
  readonly #held = new Map<string, Held<T>>()
  /** Most requests are for the version of the one before, in the same record. */
  #last: { readonly version: VersionRecord; readonly held: Held<T> } | undefined

  constructor(
    private readonly create: (labels: VersionLabels, version: VersionRecord) => T,
    private readonly now: () => number = () => performance.now(),
    private readonly inUse?: VersionsInUse,
  ) {}

  of(version: VersionRecord): T {
    const held = this.#last?.version === version ? this.#last.held : this.#find(version)
    if (this.#last?.version !== version) this.#last = { version, held }
    held.usedAt = this.now()
    return held.series
  }

  all(): T[] {
    return [...this.#held.values()].map(({ series }) => series)
  }

  #find(version: VersionRecord): Held<T> {
    const key = `${version.model} ${version.version} ${version.manifestDigest}`
    const known = this.#held.get(key)
    if (known) return known
    const labels = labelsOf(version)
    const held = {
      key,
      model: labels.model,
      version: labels.version,
      series: this.create(labels, version),
      usedAt: this.now(),
    }
    this.#held.set(key, held)
    if (this.inUse) for (const gone of versionsToForget(this.#held.values(), this.inUse)) this.#remove(gone)
    return held
  }

  /** Whatever its digest. */
  forget(model: string, version: string): void {
    for (const held of this.#held.values()) if (held.model === model && held.version === version) this.#remove(held)
  }

  /** To be called now and then: before metrics are read. */
  forgetUnused(): void {
    const before = this.now() - KEEP_MS
    for (const held of this.#held.values()) if (held.usedAt < before) this.#remove(held)
  }

  #remove(held: Held<T>): void {
    this.#held.delete(held.key)
    if (this.#last?.held === held) this.#last = undefined
    held.series.remove()
  }
}
