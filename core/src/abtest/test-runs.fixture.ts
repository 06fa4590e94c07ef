import type { AbDeclaration } from './declaration.js'
import { type Arm, Evidence } from './evidence.js'
import { type AbPlan, planOf } from './plan.js'
import { type AbVerdict, verdictOf } from './verdict.js'

/** A value of a unit in an arm, drawn with numbers in [0, 1). */
export type Draw = (arm: Arm, random: () => number) => number

export const declared = (of: Partial<AbDeclaration> = {}): Omit<AbDeclaration, 'control' | 'treatment'> => ({
  metric: { kind: 'binary' },
  better: 'higher',
  leastEffect: 0.05,
  alpha: 0.05,
  beta: 0.2,
  split: 0.5,
  ...of,
})

export const bernoulli =
  (control: number, treatment = control): Draw =>
  (arm, random) =>
    random() < (arm === 'treatment' ? treatment : control) ? 1 : 0

/** Exponential with a mean of 1, or of another under the treatment: skewed, and seldom large. */
export const skewed =
  (treatment = 1): Draw =>
  (arm, random) =>
    -Math.log(1 - random()) * (arm === 'treatment' ? treatment : 1)

export interface Run {
  readonly evidence: Evidence
  readonly verdict: AbVerdict
}

/** One test, looked at after every unit until it is settled or has had so many. */
export function runTest(plan: AbPlan, draw: Draw, random: () => number, units = plan.maxUnits): Run {
  const evidence = new Evidence(plan)
  for (let unit = 0; unit < units; unit++) {
    const arm = random() < plan.split ? 'treatment' : 'control'
    evidence.observe(arm, draw(arm, random))
    if (evidence.better !== undefined || evidence.less !== undefined) break
  }
  return { evidence, verdict: verdictOf(plan, evidence) }
}

export function runTests(of: Partial<AbDeclaration>, draw: Draw, random: () => number, tests: number, units?: number) {
  const plan = planOf(declared(of))
  const runs = Array.from({ length: tests }, () => runTest(plan, draw, random, units))
  const rate = (result: AbVerdict['result']) => runs.filter(({ verdict }) => verdict.result === result).length / tests
  const meanUnits = runs.reduce((sum, { evidence }) => sum + evidence.total, 0) / tests
  return { plan, promoted: rate('promote'), kept: rate('keep'), meanUnits }
}

/** As many as a rate may be above `level` by chance, seen in so many tests: three standard errors. */
export function atMost(level: number, tests: number): number {
  return level + 3 * Math.sqrt((level * (1 - level)) / tests)
}

/** What is commonly done: a z-test of two means at level alpha, one-sided, looked at after every unit from the 20th on. */
export function peekedZTest(draw: Draw, random: () => number, units: number, z = 1.645): boolean {
  const sums = { control: [0, 0, 0], treatment: [0, 0, 0] } as Record<Arm, [number, number, number]>
  for (let unit = 1; unit <= units; unit++) {
    const arm = random() < 0.5 ? 'treatment' : 'control'
    const value = draw(arm, random)
    const of = sums[arm]
    of[0] += 1
    of[1] += value
    of[2] += value * value
    if (unit < 20) continue
    const [a, b] = [sums.treatment, sums.control].map(([n, sum, squares]) => {
      const mean = sum / n
      return { mean, error: (squares / n - mean * mean) / n }
    }) as [{ mean: number; error: number }, { mean: number; error: number }]
    if ((a.mean - b.mean) / Math.sqrt(a.error + b.error) > z) return true
  }
  return false
}
