import type { Actor, KeyStore, Logger, StoredKey } from '@tideway/core'
import { type PresentedKey, sameDigest } from './text.js'

/** What another process revoked is refused after this at the latest; and asked for ahead of it, so that few requests wait. */
const STALE_MS = 1_000
const AGEING_MS = 500
/** How often it is noted that a key is used. */
const NOTE_EVERY_MS = 60_000
/** Notes wait so long for others, and are then written together. */
const NOTE_DELAY_MS = 1_000

interface Entry {
  readonly digest: Buffer
  readonly actor: Actor
  readonly revoked: boolean
  /** On the wall clock. */
  readonly expiresMs: number
  notedMs: number
}

/** Wall clock and steady clock, in milliseconds. */
export interface Clocks {
  readonly now: () => number
  readonly steady: () => number
}

const clocksOfProcess: Clocks = { now: Date.now, steady: () => performance.now() }

/**
 * All keys of the store, in memory: there are as many as there are people and machines. What changed is asked for when
 * somebody asks and the last answer is old, so that keys nobody has heard of cost the store nothing, and a request with a
 * known one waits for it at most once a second. Where the store does not answer, no key is believed for longer than that.
 */
export class KeyRing {
  readonly #store: KeyStore
  readonly #logger: Logger
  readonly #clocks: Clocks
  readonly #entries = new Map<string, Entry>()
  readonly #notes = new Map<string, string>()
  #revision = 0
  #askedMs = Number.NEGATIVE_INFINITY
  #asking: Promise<void> | undefined
  #writing: NodeJS.Timeout | undefined

  constructor(store: KeyStore, logger: Logger, clocks: Clocks = clocksOfProcess) {
    this.#store = store
    this.#logger = logger
    this.#clocks = clocks
  }

  /** Whose key it is, if it is one that opens now. Rejects with `STORE_UNAVAILABLE`. */
  find(key: PresentedKey): Actor | undefined | Promise<Actor | undefined> {
    const age = this.#clocks.steady() - this.#askedMs
    if (age > STALE_MS) return this.refresh().then(() => this.#match(key))
    // Whoever comes when it is stale waits for the answer, and hears of its failure.
    if (age > AGEING_MS) this.refresh().catch(() => undefined)
    return this.#match(key)
  }

  /** Takes what changed; one question at a time. Rejects with `STORE_UNAVAILABLE`. */
  refresh(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  /** At once, without a question: what this process itself made or revoked. */
  take(key: StoredKey): void {
    this.#entries.set(key.id, this.#entryOf(key))
  }

  /** Whether there is a key that opens now. */
  hasLive(): boolean {
    const now = this.#clocks.now()
    return [...this.#entries.values()].some(({ revoked, expiresMs }) => !revoked && expiresMs > now)
  }

  /** Writes the notes that still wait. */
  async close(): Promise<void> {
    clearTimeout(this.#writing)
    await this.#write()
  }

  async #ask(): Promise<void> {
    const asked = this.#clocks.steady()
    const { keys, revision } = await this.#store.changes(this.#revision)
    for (const key of keys) this.take(key)
    this.#revision = revision
    // What was committed before the question is in its answer.
    this.#askedMs = asked
  }

  #match({ id, digest }: PresentedKey): Actor | undefined {
    const entry = this.#entries.get(id)
    if (!entry || entry.revoked || !sameDigest(entry.digest, digest)) return undefined
    const now = this.#clocks.now()
    if (entry.expiresMs <= now) return undefined
    if (now - entry.notedMs >= NOTE_EVERY_MS) this.#note(id, entry, now)
    return entry.actor
  }

  #note(id: string, entry: Entry, now: number): void {
    entry.notedMs = now
    this.#notes.set(id, new Date(now).toISOString())
    this.#writing ??= setTimeout(() => void this.#write(), NOTE_DELAY_MS).unref()
  }

  async #write(): Promise<void> {
    this.#writing = undefined
    const uses = [...this.#notes].map(([id, at]) => ({ id, at }))
    this.#notes.clear()
    if (uses.length === 0) return
    await this.#store.used(uses).catch((error: unknown) => {
      this.#logger.warn('when keys were used could not be noted', { keys: uses.length, error: String(error) })
    })
  }

  #entryOf({ id, name, roles, models, devices, secretSha256, revokedAt, expiresAt, lastUsedAt }: StoredKey): Entry {
    return {
      digest: Buffer.from(secretSha256, 'hex'),
      actor: Object.freeze({
        name: `key:${name}/${id}`,
        roles,
        ...(models && { models }),
        ...(devices && { devices }),
      }),
      // An answer that was read before a revocation of our own may come after it.
      revoked: revokedAt !== undefined || this.#entries.get(id)?.revoked === true,
      expiresMs: expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(expiresAt),
      notedMs: Math.max(
        lastUsedAt === undefined ? Number.NEGATIVE_INFINITY : Date.parse(lastUsedAt),
        this.#entries.get(id)?.notedMs ?? Number.NEGATIVE_INFINITY,
      ),
    }
  }
}
