import {
  type Bins,
  compareBins,
  decodeBins,
  type Profile,
  type Statistic,
  type StatisticVerdict,
  totalOf,
} from '@tideway/core'
import type { Baseline } from './baseline.js'
import { fisherPValue } from './statistics/fisher.js'
import { ksPValue } from './statistics/kolmogorov-smirnov.js'

type Counts = Readonly<Record<string, number>>

/** A p-value and the distance behind it. */
interface Tested {
  readonly test: string
  readonly pValue: number
  readonly distance: number
}

/** Name of the one verdict over the missing values of all statistics. */
export const MISSING = '(missing)'

/**
 * Tests a profile against a baseline; the worst verdict comes first. The probability that any of them rejects although
 * nothing drifted is at most `alpha`: it is shared out evenly (Bonferroni) over the schema's statistics and the missing
 * values, and within these over labels and statistics, all of which are known before looking, or from the pooled counts
 * only. Statistics may be correlated in any way.
 */
export function compareWithBaseline(baseline: Baseline, current: Profile, alpha: number): StatisticVerdict[] {
  const { statistics } = baseline.schema
  const level = alpha / (statistics.length + 1)
  const verdicts = statistics.map((statistic) => ({
    statistic: statistic.name,
    ...testStatistic(statistic, baseline, current),
    level,
  }))
  verdicts.push({ statistic: MISSING, ...testMissing(baseline, current), level })
  return verdicts.sort((a, b) => a.pValue - b.pValue || b.distance - a.distance)
}

function testStatistic({ name, kind }: Statistic, baseline: Baseline, current: Profile): Tested {
  if (kind === 'class') return testCounts(baseline.profile.counts[name] ?? {}, current.counts[name] ?? {})
  const expected = baseline.bins.get(name)
  const text = current.sketches[name]
  if (!expected || text === undefined) return { test: 'kolmogorov-smirnov', pValue: 1, distance: 0 }
  return testBins(expected, decodeBins(text, name))
}

function testBins(expected: Bins, actual: Bins): Tested {
  const n = totalOf(expected)
  const m = totalOf(actual)
  let below = 0
  let belowActual = 0
  let reach = 0
  compareBins(expected, actual, (one, other) => {
    below += one
    belowActual += other
    reach = Math.max(reach, Math.abs(below * m - belowActual * n))
  })
  const distance = n > 0 && m > 0 ? reach / (n * m) : 0
  return { test: 'kolmogorov-smirnov', pValue: ksPValue(reach, n, m), distance }
}

/** Each label's share by Fisher's exact test, and Bonferroni over the labels that either side has. */
function testCounts(expected: Counts, actual: Counts): Tested {
  const labels = new Set([...Object.keys(expected), ...Object.keys(actual)])
  const n = sum(expected)
  const m = sum(actual)
  return worst([...labels].map((label) => ({ a: actual[label] ?? 0, m, b: expected[label] ?? 0, n })))
}

function testMissing(baseline: Baseline, current: Profile): Tested {
  const m = current.rows
  const n = baseline.profile.rows
  const shares = baseline.schema.statistics.map(({ name }) => ({
    a: current.missing[name] ?? 0,
    m,
    b: baseline.profile.missing[name] ?? 0,
    n,
  }))
  return worst(shares.filter(({ a, b }) => a + b > 0))
}

/** The most telling of several shares, `a` of `m` against `b` of `n`. */
function worst(shares: readonly { a: number; m: number; b: number; n: number }[]): Tested {
  let found: Tested = { test: 'fisher-exact', pValue: 1, distance: 0 }
  for (const { a, m, b, n } of shares) {
    const pValue = Math.min(1, fisherPValue(a, m, b, n) * shares.length)
    if (pValue < found.pValue) found = { test: 'fisher-exact', pValue, distance: Math.abs(a / m - b / n) }
  }
  return found
}

function sum(counts: Counts): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}
