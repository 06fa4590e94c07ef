import { logChoose } from './log-factorial.js'

/** Terms smaller than this part of the sum no longer change it. */
const NEGLIGIBLE = 1e-18

/**
 * Fisher's exact test of a share: `a` of `m` rows against `b` of `n`. Two-sided, as twice the tail on the side where `a`
 * lies (at most 1), so that each side errs at most half the level. Exact given the pooled count. Never 0: what
 * underflows is Number.MIN_VALUE.
 */
export function fisherPValue(a: number, m: number, b: number, n: number): number {
  const hits = a + b
  const total = m + n
  if (hits === 0 || hits === total || m === 0 || n === 0) return 1
  const expected = (hits * m) / total
  // By symmetry an upper tail of `a` is a lower tail of the misses.
  const tail = a <= expected ? lowerTail(a, m, hits, total) : lowerTail(m - a, m, total - hits, total)
  return Math.min(1, Math.max(2 * tail, Number.MIN_VALUE))
}

/** P(X <= a) for X of `draws` from `total` with `hits` hits, a at or below the mean: terms fall from `a` downwards. */
function lowerTail(a: number, draws: number, hits: number, total: number): number {
  const first = logChoose(hits, a) + logChoose(total - hits, draws - a) - logChoose(total, draws)
  let term = 1
  let sum = 1
  for (let x = a; x > 0 && term > NEGLIGIBLE * sum; x--) {
    term *= (x * (total - hits - draws + x)) / ((hits - x + 1) * (draws - x + 1))
    sum += term
  }
  return Math.exp(first + Math.log(sum))
}
