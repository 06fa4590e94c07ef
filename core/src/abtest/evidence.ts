import { boundary, logWealth, type Moments } from './mixture.js'
import type { AbPlan } from './plan.js'
import { RatioCheck } from './ratio.js'

export type Arm = 'control' | 'treatment'

/** By how much the treatment is better, in the metric's own unit, up being better. Each bound holds at its own rate. */
export interface Improvement {
  readonly estimate: number
  /** Below the truth at every look, but for `alpha` of all tests. */
  readonly low: number
  /** Above it at every look, but for `beta` of all tests. */
  readonly high: number
}

/** The first unit after which a bound was crossed, and what was known then. */
export interface Crossing {
  readonly units: number
  readonly improvement: Improvement
}

/**
 * What a test knows after so many units, told of one at a time in the order in which their outcomes were stored.
 *
 * Each unit gives an unbiased guess at the effect by the chance with which it got its arm: `x = (y - m) / split` under the
 * treatment and `-(y - m) / (1 - split)` under control, where `m` is the mean of the outcomes before it (any `m` would do
 * that does not know the unit; this one makes `x` small). Since `x` is bounded and its mean is the effect whatever is
 * known before, the sums of its powers give an e-process against "the effect is at most 0" and one against "it is
 * at least the least effect". Nothing is taken to be normal, large, or the same over time. Inverse probability weighting in
 * sequence: Howard et al. 2021, section 4.2 (potential outcomes).
 */
export class Evidence {
  readonly ratio: RatioCheck
  readonly units = { control: 0, treatment: 0 }
  /** Of values, in the metric's own unit, each within its range. */
  readonly sums = { control: 0, treatment: 0 }
  /** Values that lay beyond the metric's range. */
  capped = 0
  /** When it was first shown that the treatment is better, and when that it is not so by the least effect. */
  better: Crossing | undefined
  less: Crossing | undefined
  private scaledSum = 0
  private moments: Moments = { s: 0, s2: 0, s3: 0, s4: 0 }
  private most = 0

  constructor(private readonly plan: AbPlan) {
    this.ratio = new RatioCheck(plan.split)
  }

  get total(): number {
    return this.units.control + this.units.treatment
  }

  /** At or below a level with at most that probability, ever, where the treatment is not better. */
  get pValue(): number {
    return Math.exp(-this.most)
  }

  get improvement(): Improvement {
    const { stakes, reach, width, alpha, beta } = this.plan
    const n = this.total
    if (n === 0) return { estimate: 0, low: -width, high: width }
    const unit = (reach * width) / n
    const within = (value: number) => Math.min(width, Math.max(-width, value))
    return {
      estimate: within(this.moments.s * unit),
      low: within((this.moments.s - boundary(stakes, this.moments, alpha)) * unit),
      high: within((this.moments.s + boundary(stakes, reversed(this.moments), beta)) * unit),
    }
  }

  /** Once for each unit; `value` is in the metric's own unit. Beyond the declared number of units nothing is learnt. */
  observe(arm: Arm, value: number): void {
    const { min, max, scaled, split, reach, centre } = this.plan
    if (this.total >= this.plan.maxUnits) return
    const capped = Math.min(max, Math.max(min, value))
    if (capped !== value) this.capped++
    const y = scaled(capped)
    const m = (centre + this.scaledSum) / (1 + this.total)
    const x = (arm === 'treatment' ? (y - m) / split : (m - y) / (1 - split)) / reach
    this.ratio.observe(arm)
    this.units[arm]++
    this.sums[arm] += capped
    this.scaledSum += y
    const { s, s2, s3, s4 } = this.moments
    this.moments = { s: s + x, s2: s2 + x ** 2, s3: s3 + x ** 3, s4: s4 + x ** 4 }
    this.test()
  }

  private test(): void {
    const { stakes, leastEffect, reach, alpha, beta } = this.plan
    this.most = Math.max(this.most, logWealth(stakes, this.moments))
    if (this.better === undefined && this.most >= -Math.log(alpha)) this.better = this.crossing()
    if (this.less !== undefined) return
    const other = reversed(this.moments)
    const short = { ...other, s: other.s + (this.total * leastEffect) / reach }
    if (logWealth(stakes, short) >= -Math.log(beta)) this.less = this.crossing()
  }

  private crossing(): Crossing {
    return { units: this.total, improvement: this.improvement }
  }
}

/** Of the same rounds, each with the other sign. */
function reversed({ s, s2, s3, s4 }: Moments): Moments {
  return { s: -s, s2, s3: -s3, s4 }
}
