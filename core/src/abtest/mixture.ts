/** Sums over rounds, each between -1 and 1, of their first four powers. */
export interface Moments {
  readonly s: number
  readonly s2: number
  readonly s3: number
  readonly s4: number
}

/**
 * A gambler's stakes: shares of a capital of 1, each put at one `lambda` on every round. The evidence against a hypothesis
 * is what the capital has become.
 */
export interface Stakes {
  /** Within (0, 1). */
  readonly lambdas: readonly number[]
  /** `k` of each; see `logWealth`. */
  readonly costs: readonly number[]
  readonly logWeights: readonly number[]
}

/** Steps of a factor of two on either side of the stake that the plan makes best, and what each is weighed less by. */
const STEPS = 5
const FALL = 3
/** A stake of 1 could lose everything in one round. */
const MAX_LAMBDA = 0.75

/** Half of the capital on `planned`, the rest on stakes twice, four times, half, a quarter ... of it. */
export function stakesAround(planned: number): Stakes {
  const centre = Math.min(planned, MAX_LAMBDA)
  const steps = Array.from({ length: 2 * STEPS + 1 }, (_, at) => at - STEPS)
  const taken = steps.filter((step) => centre * 2 ** step <= MAX_LAMBDA)
  const total = taken.reduce((sum, step) => sum + FALL ** -Math.abs(step), 0)
  const lambdas = taken.map((step) => centre * 2 ** step)
  return {
    lambdas,
    costs: lambdas.map((l) => -Math.log1p(-l) - l - l ** 2 / 2 - l ** 3 / 3),
    logWeights: taken.map((step) => -Math.abs(step) * Math.log(FALL) - Math.log(total)),
  }
}

/**
 * The logarithm of the capital after rounds of mean at most 0:
 * `sum of w exp(l s - l^2 s2 / 2 + l^3 s3 / 3 - k s4)` with `k = -log(1 - l) - l - l^2 / 2 - l^3 / 3`. It is a
 * supermartingale that begins at 1, so by Ville's inequality it ever reaches `1 / alpha` with probability at most alpha,
 * at any number of rounds, large or small.
 *
 * Why: `(log(1 + y) - y + y^2 / 2 - y^3 / 3) / y^4` rises in y, so `exp(l x - l^2 x^2 / 2 + l^3 x^3 / 3 - k x^4) <= 1 + l x`
 * for `x >= -1`, whose mean is at most 1. The same with two powers instead of four is the inequality of Fan, Grama and Liu
 * (2015) behind the empirical Bernstein bounds of Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric,
 * nonasymptotic confidence sequences", Annals of Statistics 49 (2021), whose discrete mixture (section 3) this is; four
 * find rare things sooner.
 */
export function logWealth({ lambdas, costs, logWeights }: Stakes, { s, s2, s3, s4 }: Moments): number {
  let [most, sum] = [Number.NEGATIVE_INFINITY, 0]
  for (let at = 0; at < lambdas.length; at++) {
    const l = lambdas[at] as number
    const grown = l * (s + l * (-s2 / 2 + (l * s3) / 3)) - (costs[at] as number) * s4
    const term = (logWeights[at] as number) + grown
    if (term > most) {
      sum = sum * Math.exp(most - term) + 1
      most = term
    } else sum += Math.exp(term - most)
  }
  return most + Math.log(sum)
}

/** The smallest sum at which the capital is `1 / level`, with the other moments as they are. */
export function boundary(stakes: Stakes, moments: Moments, level: number): number {
  const wanted = Math.log(1 / level)
  const isShort = (s: number) => logWealth(stakes, { ...moments, s }) < wanted
  let [low, high] = [0, 1]
  while (isShort(high)) high *= 2
  // The capital rises with s, and is at most 1 at 0. Sixty halvings leave no more than the last digits of a double.
  for (let round = 0; round < 60; round++) {
    const middle = (low + high) / 2
    if (isShort(middle)) low = middle
    else high = middle
  }
  return high
}
