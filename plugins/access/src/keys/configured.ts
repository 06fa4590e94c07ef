import { randomBytes } from 'node:crypto'
import type { Actor } from '@tideway/core'
import type { ConfiguredKey } from '../options.js'
import { digestOf, sameDigest } from './text.js'

/** The keys that the configuration names, and one that this process makes for its own parts. */
export class ConfiguredKeys {
  readonly processKey = `tw-process-${randomBytes(32).toString('base64url')}`
  readonly #entries: readonly { readonly digest: Buffer; readonly actor: Actor }[]

  constructor(keys: readonly ConfiguredKey[]) {
    const process = {
      digest: digestOf(this.processKey),
      // A pipeline may name aliases for what it trains, which is an operator's.
      actor: { name: 'process', roles: ['publisher', 'operator'] } as const,
    }
    const configured = keys.map(({ key, name, ...rest }) => {
      const digest = digestOf(key)
      return { digest, actor: Object.freeze({ name: `key:${name ?? digest.toString('hex').slice(0, 8)}`, ...rest }) }
    })
    this.#entries = [...configured, process]
  }

  /** Every key is compared, over digests of one length: the time taken says nothing about any key. */
  find(token: string): Actor | undefined {
    const digest = digestOf(token)
    let found: Actor | undefined
    for (const entry of this.#entries) if (sameDigest(entry.digest, digest)) found ??= entry.actor
    return found
  }
}
