import { type AbDeclaration, type Arm, abDeclarationSchema, Evidence, planOf, verdictOf } from '@tideway/core'
import { seeded } from '../support/seeded.js'
import type { Bench, BenchCheck, BenchRow } from './result.js'

/** A value of a unit in an arm, drawn with numbers in [0, 1). */
type Draw = (arm: Arm, random: () => number) => number

interface Case {
  readonly id: string
  readonly of: object
  readonly draw: Draw
  /** What the metric's mean is under the treatment, less under control. */
  readonly effect: 'none' | 'least'
  /** Of a unit's value, midway between the arms: for the test of a fixed size. */
  readonly variance: number
}

const TESTS = 2_000
/** Tests of an effect that is there go on for longer. */
const POWER_TESTS = 400
/** How long tests of nothing are looked at. */
const UNITS = 5_000
const PEEKED = 1_000
/** Quantiles of the normal distribution at 1 - alpha and 1 - beta. */
const [Z_ALPHA, Z_BETA] = [1.6449, 0.8416]

const rate =
  (control: number, treatment = control): Draw =>
  (arm, random) =>
    random() < (arm === 'treatment' ? treatment : control) ? 1 : 0
/** Exponential: skewed. */
const skewed =
  (treatment = 1): Draw =>
  (arm, random) =>
    -Math.log(1 - random()) * (arm === 'treatment' ? treatment : 1)

const binary = (baseline: number) => ({ kind: 'binary', baseline })
const mean = { kind: 'mean', min: 0, max: 12, sd: 1 }

const cases: readonly Case[] = [
  { id: 'rate-0.5', of: { metric: binary(0.5), leastEffect: 0.02 }, draw: rate(0.5), effect: 'none', variance: 0.25 },
  {
    id: 'rate-0.05',
    of: { metric: binary(0.05), leastEffect: 0.01 },
    draw: rate(0.05),
    effect: 'none',
    variance: 0.0475,
  },
  { id: 'skewed', of: { metric: mean, leastEffect: 0.1 }, draw: skewed(), effect: 'none', variance: 1 },
  {
    id: 'rate-0.5-lift',
    of: { metric: binary(0.5), leastEffect: 0.05 },
    draw: rate(0.5, 0.55),
    effect: 'least',
    variance: 0.249,
  },
  {
    id: 'rate-0.05-lift',
    of: { metric: binary(0.05), leastEffect: 0.02 },
    draw: rate(0.05, 0.07),
    effect: 'least',
    variance: 0.0564,
  },
  { id: 'skewed-lift', of: { metric: mean, leastEffect: 0.1 }, draw: skewed(1.1), effect: 'least', variance: 1.1 },
]

/**
 * A/B tests that are looked at after every unit, simulated: how often they promote what is no better, how often they find the
 * least effect and after how many units, beside a z-test that is looked at once, and one that is looked at after every unit.
 */
export const abtest: Bench = async (progress) => {
  const rows: BenchRow[] = []
  const checks: BenchCheck[] = []
  for (const [at, one] of cases.entries()) {
    progress(`${one.id} ...`)
    const declared = abDeclarationSchema.parse({ control: 1, treatment: 2, ...one.of })
    const random = seeded(at + 1)
    const isNull = one.effect === 'none'
    const tests = isNull ? TESTS : POWER_TESTS
    const { promoted, kept, meanUnits, maxUnits } = simulate(declared, one.draw, random, tests, isNull)
    const peeked = rateOf(PEEKED, () => isNull && peekedZTest(one.draw, random, UNITS))
    const fixedUnits = Math.ceil(((Z_ALPHA + Z_BETA) ** 2 * 4 * one.variance) / declared.leastEffect ** 2)
    rows.push({
      case: one.id,
      effect: one.effect,
      tests,
      promoted,
      kept,
      meanUnits: Math.round(meanUnits),
      maxUnits,
      fixedUnits,
      peekedZTestPromotes: isNull ? peeked : null,
    })
    if (isNull) {
      checks.push({
        id: `${one.id}: promoted though no better`,
        value: promoted,
        atMost: atMost(declared.alpha, tests),
      })
      // A simulation that could not tell a test that errs too often would prove nothing.
      checks.push({
        id: `${one.id}: the same by a z-test that is peeked at`,
        value: peeked,
        atLeast: 2 * declared.alpha,
      })
    } else {
      checks.push({ id: `${one.id}: promoted`, value: promoted, atLeast: 1 - declared.beta })
      checks.push({ id: `${one.id}: given up`, value: kept, atMost: atMost(declared.beta, tests) })
      checks.push({ id: `${one.id}: units against a fixed size`, value: meanUnits / fixedUnits, atMost: 1.5, aim: 1 })
    }
  }
  return { rows, checks }
}

function simulate(declared: AbDeclaration, draw: Draw, random: () => number, tests: number, isNull: boolean) {
  const plan = planOf(declared)
  let [promoted, kept, units] = [0, 0, 0]
  for (let test = 0; test < tests; test++) {
    const evidence = new Evidence(plan)
    const most = isNull ? UNITS : plan.maxUnits
    // A test of nothing goes on even when it would be given up: every look could err.
    while (evidence.total < most && evidence.better === undefined && (isNull || evidence.less === undefined)) {
      const arm = random() < plan.split ? 'treatment' : 'control'
      evidence.observe(arm, draw(arm, random))
      if (evidence.total >= plan.maxUnits) break
    }
    if (evidence.better !== undefined) promoted++
    else if (verdictOf(plan, evidence).result === 'keep') kept++
    units += evidence.total
  }
  return { promoted: promoted / tests, kept: kept / tests, meanUnits: units / tests, maxUnits: plan.maxUnits }
}

/** As many as a rate may be above a level by chance, seen in so many tests: three standard errors. */
function atMost(level: number, tests: number): number {
  return level + 3 * Math.sqrt((level * (1 - level)) / tests)
}

function rateOf(times: number, happens: () => boolean): number {
  return Array.from({ length: times }, happens).filter(Boolean).length / times
}

/** Two means, one-sided at 0.05, looked at after every unit from the hundredth on. */
function peekedZTest(draw: Draw, random: () => number, units: number): boolean {
  const sums: Record<Arm, [number, number, number]> = { control: [0, 0, 0], treatment: [0, 0, 0] }
  for (let unit = 1; unit <= units; unit++) {
    const arm = random() < 0.5 ? 'treatment' : 'control'
    const value = draw(arm, random)
    const of = sums[arm]
    of[0]++
    of[1] += value
    of[2] += value * value
    if (unit < 100) continue
    const [a, b] = [moments(sums.treatment), moments(sums.control)]
    if ((a.mean - b.mean) / Math.sqrt(a.error + b.error) > Z_ALPHA) return true
  }
  return false
}

function moments([n, sum, squares]: readonly [number, number, number]) {
  const mean = sum / n
  return { mean, error: (squares / n - mean * mean) / n }
}
