import { sha256 } from '@noble/hashes/sha2.js'
import type { Share } from './policy.js'

const encoder = new TextEncoder()

/**
 * The version that answers a key: the same one for the same salt and shares, in each process and for ever.
 *
 * Weighted rendezvous hashing: every version draws an exponential time of rate `weight` from the hash of salt, version and
 * key, and the first one wins, which happens to each in proportion to its weight. A share that grows takes keys from the
 * others and gives none up; those that shrink take none; a version that joins or leaves moves only its own keys. (Thaler and
 * Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM Transactions on Networking 6, 1998; with weights as in
 * Resch, "New hashing algorithms for data storage", 2015.)
 */
export function assign(key: string, salt: string, shares: readonly Share[]): number {
  let winner = 0
  let first = Number.POSITIVE_INFINITY
  for (const { version, weight } of shares) {
    const time = -Math.log(uniform(`${salt}\n${version}\n${key}`)) / weight
    if (time >= first) continue
    first = time
    winner = version
  }
  return winner
}

/** The version that answers a request without a key; `draw` lies in [0, 1). */
export function pick(draw: number, shares: readonly Share[]): number {
  let left = draw * shares.reduce((sum, { weight }) => sum + weight, 0)
  for (const { version, weight } of shares) {
    left -= weight
    if (left < 0) return version
  }
  return shares[shares.length - 1]?.version ?? 0
}

/** In (0, 1], with the 53 bits of a double, from the first of a text's SHA-256: keys are people's, and salts must not be guessed. */
function uniform(text: string): number {
  const [a, b, c, d, e, f, g] = sha256(encoder.encode(text)) as Uint8Array & { readonly [at: number]: number }
  const high = (a as number) * 2 ** 13 + (b as number) * 2 ** 5 + ((c as number) >>> 3)
  const low = (((d as number) << 24) | ((e as number) << 16) | ((f as number) << 8) | (g as number)) >>> 0
  return (high * 2 ** 32 + low + 1) / 2 ** 53
}
