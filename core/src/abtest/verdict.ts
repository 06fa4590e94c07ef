import type { Crossing, Evidence } from './evidence.js'
import type { AbPlan } from './plan.js'

/** Arms off their shares at this level are no accident. */
export const RATIO_LEVEL = 0.001

export interface AbVerdict {
  readonly result: 'promote' | 'keep' | 'not yet'
  /** In words. */
  readonly reason: string
  /** After how many units it was settled; left out while it is not. */
  readonly settledAfter?: number
}

/**
 * `promote`: the treatment is better than control. `keep`: it is not so by the least effect, or nothing was shown within the
 * declared number of units, or the arms are off their shares. The first of the two bounds that is crossed decides, however
 * often and whenever one looks.
 */
export function verdictOf(plan: AbPlan, evidence: Evidence): AbVerdict {
  const { better, less, total, ratio, units } = evidence
  if (ratio.pValue <= RATIO_LEVEL) {
    const share = percent(units.treatment / Math.max(1, total))
    const reason = `sample ratio mismatch: ${share} of the units had the treatment instead of ${percent(plan.split)} (p = ${short(ratio.pValue)}); one arm loses units, so the arms cannot be compared`
    return { result: 'keep', reason }
  }
  const { low, high } = evidence.improvement
  const least = short(plan.leastEffect * plan.width)
  if (better !== undefined && (less === undefined || better.units <= less.units)) {
    // The bounds of all looks hold together, so the best of them may be told.
    const gain = short(Math.max(low, better.improvement.low))
    return settled('promote', better, `the treatment is better: by at least ${gain} (alpha ${plan.alpha})`)
  }
  if (less !== undefined) {
    const most = Math.min(high, less.improvement.high)
    const found =
      most < 0 ? `worse: by at least ${short(-most)}` : `better by ${short(most)} at most, and ${least} matters`
    return settled('keep', less, `the treatment is ${found} (beta ${plan.beta})`)
  }
  if (total >= plan.maxUnits) {
    const reason = `nothing was shown within the declared ${plan.maxUnits} units`
    return { result: 'keep', reason, settledAfter: plan.maxUnits }
  }
  const reason = `after ${total} of at most ${plan.maxUnits} units the improvement lies between ${short(low)} and ${short(high)}, which holds both 0 and ${least}`
  return { result: 'not yet', reason }
}

function settled(result: 'promote' | 'keep', { units }: Crossing, reason: string): AbVerdict {
  return { result, reason: `${reason}; seen after ${units} units`, settledAfter: units }
}

const short = (value: number) => Number(value.toPrecision(3)).toString()
const percent = (share: number) => `${short(100 * share)}%`
