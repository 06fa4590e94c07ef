import type { Actor } from '@tideway/core'
import { digestOf } from '../keys/text.js'
import { actorOf } from './claims.js'
import type { OidcOptions } from './options.js'
import type { Verify } from './verify.js'

/** A token that was verified is believed so long at most, and never beyond its end: an issuer may take its key back. */
const BELIEVED_MS = 300_000
const MAX_TOKENS = 10_000

interface Believed {
  readonly actor: Actor
  /** On the wall clock, as `exp` is. */
  readonly untilMs: number
}

/** Who tokens speak for; those that were verified are known by their digest, so that they are verified once. */
export class Tokens {
  readonly #believed = new Map<string, Believed>()
  readonly #verify: Verify
  readonly #options: OidcOptions
  readonly #now: () => number

  constructor(verify: Verify, options: OidcOptions, now: () => number = Date.now) {
    this.#verify = verify
    this.#options = options
    this.#now = now
  }

  /** Throws as `createVerify`'s and `actorOf` do. */
  find(token: string): Actor | Promise<Actor> {
    const digest = digestOf(token).toString('base64')
    const known = this.#believed.get(digest)
    if (known && this.#now() < known.untilMs) return known.actor
    this.#believed.delete(digest)
    return this.#learn(token, digest)
  }

  async #learn(token: string, digest: string): Promise<Actor> {
    const claims = await this.#verify(token)
    const actor = actorOf(claims, this.#options)
    // The oldest goes: a map keeps the order in which its entries came.
    if (this.#believed.size >= MAX_TOKENS) this.#believed.delete(this.#believed.keys().next().value ?? '')
    const endMs = ((claims.exp ?? 0) + this.#options.clockToleranceSeconds) * 1000
    this.#believed.set(digest, { actor, untilMs: Math.min(endMs, this.#now() + BELIEVED_MS) })
    return actor
  }
}
