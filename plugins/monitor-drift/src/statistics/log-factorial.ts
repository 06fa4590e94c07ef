/** Below this the series' last term left out, 1 / (1680 n^7), is under half a unit in the last place of the sum. */
const SERIES_FROM = 64

const table = new Float64Array(SERIES_FROM)
for (let n = 2; n < SERIES_FROM; n++) table[n] = (table[n - 1] as number) + Math.log(n)

const HALF_LOG_TAU = Math.log(2 * Math.PI) / 2

/** ln(n!) for whole n >= 0: a table, then Stirling's series (Abramowitz and Stegun 6.1.41). */
export function logFactorial(n: number): number {
  if (n < SERIES_FROM) return table[n] as number
  const square = n * n
  const series = (1 / 12 - (1 / 360 - 1 / (1260 * square)) / square) / n
  return (n + 0.5) * Math.log(n) - n + HALF_LOG_TAU + series
}

/** ln of the binomial coefficient; -Infinity where it is zero. */
export function logChoose(n: number, k: number): number {
  if (k < 0 || k > n) return Number.NEGATIVE_INFINITY
  return logFactorial(n) - logFactorial(k) - logFactorial(n - k)
}
