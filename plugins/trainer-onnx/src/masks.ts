import type { Mask } from './graphs/training.js'
import { philox, STREAM } from './random.js'

/**
 * Fills a mask for one step: a pure function of (seed, step, place of the mask), so that a resumed run draws what the
 * first one would have. Philox keys the state of xoshiro128** (Blackman and Vigna 2018), which gives the numbers.
 */
export function fillMask(into: Float32Array, { rate }: Mask, seed: number, step: number, place: number): void {
  const key: [number, number] = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0]
  let [a, b, c, d] = philox(key, [step >>> 0, Math.floor(step / 2 ** 32) >>> 0, place, STREAM.dropout])
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
