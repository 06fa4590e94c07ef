import type { Mask } from './graphs/context.js'
import { philox, STREAM } from './random.js'

/** What the numbers of a mask depend on: the step, the batch of that step, and the mask's place in the network. */
export interface MaskKey {
  readonly seed: number
  readonly step: number
  readonly part: number
  readonly place: number
}

/**
 * Fills a mask for one batch: a pure function of its key, so that a resumed run draws what the
 * first one would have. Philox keys the state of xoshiro128** (Blackman and Vigna 2018), which gives the numbers.
 */
export function fillMask(into: Float32Array, { rate }: Mask, { seed, step, part, place }: MaskKey): void {
  const key: [number, number] = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0]
  let [a, b, c, d] = philox(key, [step >>> 0, part, place, STREAM.dropout])
  const threshold = rate * 2 ** 32
  const kept = 1 / (1 - rate)
  for (let at = 0; at < into.length; at++) {
    const scrambled = Math.imul(b, 5)
    const drawn = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0
    into[at] = drawn < threshold ? 0 : kept
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = (d << 11) | (d >>> 21)
  }
}
