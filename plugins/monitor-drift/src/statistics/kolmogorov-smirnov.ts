/** Lattice points that an exact p-value may visit: about 20 ms. */
const MAX_POINTS = 4e6

/**
 * An upper bound, exact where that is feasible, of P(D >= d) for the two-sample Kolmogorov-Smirnov distance of samples
 * of n and m values from one distribution. `reach` is the largest |i m - j n| over all thresholds, where i values of the
 * first and j of the second sample lie at or below it: d = reach / (n m), as a whole number, without rounding.
 *
 * The exact value is that of continuous data. For binned or tied data the distance is taken over fewer thresholds, so
 * it can only be smaller, and the p-value only too large (Noether, "Note on the Kolmogorov statistic in the discrete
 * case", 1963; Conover, "A Kolmogorov goodness-of-fit test for discontinuous distributions", 1972): alarms stay within
 * their rate whatever the bins, also when these were chosen by looking at the data.
 *
 * Exact: Hodges, "The significance probability of the Smirnov two-sample test", 1957, with the recursion turned to
 * count the paths that leave the band (Viehmann, "Numerically more stable computation of the p-values for the
 * two-sample Kolmogorov-Smirnov test", arXiv:2102.08037), which adds positive terms only and is accurate down to 1e-300.
 * Beyond 4 million points: the inequality of Dvoretzky, Kiefer and Wolfowitz with Massart's constant (1990), for each
 * sample: D >= d needs one of them to be off by its part of d. No asymptotics in either. Never 0: what underflows is
 * Number.MIN_VALUE.
 */
export function ksPValue(reach: number, n: number, m: number): number {
  if (reach <= 0 || n === 0 || m === 0) return 1
  const distance = reach / (n * m)
  const points = Math.min(1, 2 * distance) * n * m
  const p = points <= MAX_POINTS ? exact(reach, n, m) : bound(distance, n, m)
  return Math.min(1, Math.max(p, Number.MIN_VALUE))
}

/** `out[j]`: the share of the monotone paths from (0, 0) to (i, j) that touch |i m - j n| >= reach. */
function exact(reach: number, n: number, m: number): number {
  const out = new Float64Array(m + 1).fill(1)
  out.fill(0, 0, Math.min(m, Math.ceil(reach / n) - 1) + 1)
  for (let i = 1; i <= n; i++) {
    const low = Math.max(0, Math.floor((i * m - reach) / n) + 1)
    const high = Math.min(m, Math.ceil((i * m + reach) / n) - 1)
    // The point below the band: each path through it has left.
    let before = low === 0 ? 0 : 1
    for (let j = low; j <= high; j++) {
      before = (i * (out[j] as number) + j * before) / (i + j)
      out[j] = before
    }
  }
  return out[m] as number
}

/** The parts of d are chosen so that both samples' bounds are equal. */
function bound(distance: number, n: number, m: number): number {
  const effective = Math.sqrt(n * m) / (Math.sqrt(n) + Math.sqrt(m))
  return 4 * Math.exp(-2 * (distance * effective) ** 2)
}
