/** The 97.5th percentile of the normal distribution: intervals are of 95%. */
const Z = 1.959963984540054

export interface Interval {
  readonly low: number
  readonly high: number
}

/**
 * The 95% interval of a share of `count` out of `rows` after Wilson 1927, "Probable Inference, the Law of Succession,
 * and Statistical Inference": it stays within 0 to 1, and is of use for few rows and for shares of 0 and 1. Without rows
 * it is 0 to 1.
 */
export function wilson(count: number, rows: number): Interval {
  if (rows === 0) return { low: 0, high: 1 }
  const share = count / rows
  const weight = 1 + Z ** 2 / rows
  const center = (share + Z ** 2 / (2 * rows)) / weight
  const half = (Z / weight) * Math.sqrt((share * (1 - share)) / rows + Z ** 2 / (4 * rows ** 2))
  // At shares of 0 and 1 the bound is exact; the last bit of the sum may not be.
  return { low: count === 0 ? 0 : Math.max(0, center - half), high: count === rows ? 1 : Math.min(1, center + half) }
}

/**
 * The 95% interval of the accuracy that is lost, of the same rows before and after: `broken` became wrong, `mended` became
 * right. After Agresti and Min 2005, "Simple improved confidence intervals for comparing matched proportions": half a
 * row more in each of the four cells, so that no change at all still has a width.
 */
export function pairedLoss(broken: number, mended: number, rows: number): Interval {
  const n = rows + 2
  const [b, c] = [broken + 0.5, mended + 0.5]
  const center = (b - c) / n
  const half = (Z / n) * Math.sqrt(b + c - (b - c) ** 2 / n)
  return { low: Math.max(-1, center - half), high: Math.min(1, center + half) }
}
