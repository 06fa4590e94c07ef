import type { Arm } from './evidence.js'

/** How far the odds of the treatment may be off, as logarithms, each way. */
const OFFSETS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56].flatMap((offset) => [offset, -offset])

/**
 * Whether units come in the ratio in which they were assigned: if not, one arm loses some (requests that fail, outcomes
 * that are not reported), and what is left cannot be compared. A likelihood ratio against a mixture of other ratios, which may
 * be looked at any time; a discrete form of Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022.
 */
export class RatioCheck {
  private treatment = 0
  private control = 0
  private most = 0
  private readonly others: readonly { readonly treatment: number; readonly control: number }[]

  constructor(split: number) {
    const odds = Math.log(split / (1 - split))
    this.others = OFFSETS.map((offset) => {
      const share = 1 / (1 + Math.exp(-odds - offset))
      return { treatment: Math.log(share / split), control: Math.log((1 - share) / (1 - split)) }
    })
  }

  observe(arm: Arm): void {
    this[arm]++
    this.most = Math.max(this.most, this.logRatio())
  }

  /** Never above 1; at or below a level with at most that probability, ever, where nothing is wrong. */
  get pValue(): number {
    return Math.exp(-this.most)
  }

  private logRatio(): number {
    const { others, treatment, control } = this
    const term = (of: (typeof others)[number]) => treatment * of.treatment + control * of.control
    let most = Number.NEGATIVE_INFINITY
    for (const other of others) most = Math.max(most, term(other))
    let sum = 0
    for (const other of others) sum += Math.exp(term(other) - most)
    return most + Math.log(sum / others.length)
  }
}
