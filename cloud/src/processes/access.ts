import { hash } from 'node:crypto'
import type { Access, Actor, Credentials } from '@tideway/core'

/** Who credentials are of is believed so long, and asked for ahead of it, so that few requests wait. */
const STALE_MS = 1_000
const AGEING_MS = 500
const MAX_KNOWN = 10_000

interface Known {
  readonly actor: Actor
  readonly askedMs: number
}

/**
 * The access of the process that started this one, whichever it is, without a call for each request. What it refuses, for it
 * was revoked, is refused here within a second.
 */
export class RelayedAccess implements Access {
  readonly #known = new Map<string, Known>()
  /** Of credentials, which themselves are not kept. */
  readonly #keys = new WeakMap<Credentials, string>()
  readonly #asking = new Map<string, Promise<Actor>>()

  constructor(
    readonly required: boolean,
    private readonly ask: (credentials: Credentials) => Promise<Actor>,
    private readonly now: () => number = () => performance.now(),
  ) {}

  identify(credentials: Credentials): Actor | Promise<Actor> {
    const key = this.#keys.get(credentials) ?? this.#keyOf(credentials)
    const known = this.#known.get(key)
    const age = known ? this.now() - known.askedMs : Number.POSITIVE_INFINITY
    if (!known || age > STALE_MS) return this.#renew(key, credentials)
    // Whoever comes when it is stale waits for the answer, and hears of a refusal.
    if (age > AGEING_MS) this.#renew(key, credentials).catch(() => undefined)
    return known.actor
  }

  #keyOf(credentials: Credentials): string {
    const { authorization } = credentials
    const key = authorization === undefined ? '' : hash('sha256', authorization, 'base64')
    this.#keys.set(credentials, key)
    return key
  }

  #renew(key: string, credentials: Credentials): Promise<Actor> {
    const asking = this.#asking.get(key) ?? this.#learn(key, credentials)
    this.#asking.set(key, asking)
    return asking
  }

  async #learn(key: string, credentials: Credentials): Promise<Actor> {
    const askedMs = this.now()
    try {
      const actor = await this.ask(credentials)
      // The oldest goes: a map keeps the order in which its entries came.
      this.#known.delete(key)
      if (this.#known.size >= MAX_KNOWN) this.#known.delete(this.#known.keys().next().value ?? '')
      this.#known.set(key, { actor, askedMs })
      return actor
    } catch (error) {
      this.#known.delete(key)
      throw error
    } finally {
      this.#asking.delete(key)
    }
  }
}
