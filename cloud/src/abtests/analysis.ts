import {
  type AbPlan,
  type AbTestRecord,
  type AbTestStore,
  type AbTestView,
  assign,
  Evidence,
  planOf,
  type Share,
  verdictOf,
} from '@tideway/core'

/** Who answers under a test; the assignment of a unit follows from it and the test's salt. */
export function sharesOfTest({ control, treatment, split }: AbTestRecord): readonly Share[] {
  return [
    { version: control, weight: 100 * (1 - split) },
    { version: treatment, weight: 100 * split },
  ]
}

/**
 * What the outcomes of a test say, read in the order in which they were stored: the same in each process, and after a restart.
 * A unit's arm is not stored but worked out anew.
 */
export class Analysis {
  private readonly plan: AbPlan
  private readonly evidence: Evidence
  private readonly shares: readonly Share[]
  private cursor = 0
  private reading: Promise<void> = Promise.resolve()

  constructor(
    private readonly test: AbTestRecord,
    private readonly store: Pick<AbTestStore, 'outcomes' | 'counts'>,
  ) {
    this.plan = planOf(test)
    this.evidence = new Evidence(this.plan)
    this.shares = sharesOfTest(test)
  }

  /** Up to what is stored now; `test` is its record of now. */
  async view(test: AbTestRecord): Promise<AbTestView> {
    const read = this.reading.then(() => this.read())
    this.reading = read.catch(() => undefined)
    await read
    const counts = await this.store.counts(test.id)
    const { evidence, plan } = this
    const { estimate, low, high } = evidence.improvement
    const isUp = test.better === 'higher'
    const arm = (name: 'control' | 'treatment') => {
      const units = evidence.units[name]
      return { version: test[name], units, mean: units === 0 ? undefined : evidence.sums[name] / units }
    }
    return {
      ...verdictOf(plan, evidence),
      test,
      control: arm('control'),
      treatment: arm('treatment'),
      ...counts,
      capped: evidence.capped,
      effect: isUp ? { estimate, low, high } : { estimate: -estimate, low: -high, high: -low },
      pValue: evidence.pValue,
      ratioPValue: evidence.ratio.pValue,
    }
  }

  private async read(): Promise<void> {
    for (;;) {
      const outcomes = await this.store.outcomes(this.test.id, this.cursor)
      if (outcomes.length === 0) return
      for (const { id, value, order } of outcomes) {
        const version = assign(id, this.test.salt, this.shares)
        this.evidence.observe(version === this.test.treatment ? 'treatment' : 'control', value)
        this.cursor = order
      }
    }
  }
}
