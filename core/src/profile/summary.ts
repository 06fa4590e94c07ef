import { totalOf } from './bins.js'
import { decodeBins } from './codec.js'
import type { Profile, ProfileSchema } from './schema.js'
import { quantileOf } from './sketch.js'

export interface QuantileSummary {
  /** Values sketched. */
  readonly count: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
}

/** A profile as numbers for people; quantiles within the schema's relative accuracy (1% by default). */
export interface ProfileSummary {
  readonly rows: number
  readonly errors: number
  readonly from: string
  readonly to: string
  readonly latencyMs?: QuantileSummary
  readonly statistics: Readonly<Record<string, QuantileSummary>>
  /** By statistic: the share of each label, 0 to 1, the most frequent first. */
  readonly shares: Readonly<Record<string, readonly { readonly label: string; readonly share: number }[]>>
  /** By statistic: rows without a usable value; only those that have any. */
  readonly missing: Readonly<Record<string, number>>
}

/**
 * Summarises a profile for tables. With its schema, centred statistics are moved back to where they were. Throws
 * `PROFILE_INVALID` for a sketch that cannot be read.
 */
export function summarizeProfile(profile: Profile, schema?: ProfileSchema): ProfileSummary {
  const centers = new Map(
    schema?.statistics.map((item) => [
      item.name,
      'center' in item && typeof item.center === 'number' ? item.center : 0,
    ]),
  )
  const statistics = Object.entries(profile.sketches).map(([name, text]) => [
    name,
    quantiles(text, centers.get(name) ?? 0),
  ])
  const shares = Object.entries(profile.counts).map(([name, counts]) => [name, sharesOf(counts)])
  const { rows, errors, from, to, missing } = profile
  return {
    rows,
    errors,
    from,
    to,
    ...(profile.latencyMs !== undefined && { latencyMs: quantiles(profile.latencyMs, 0) }),
    statistics: Object.fromEntries(statistics),
    shares: Object.fromEntries(shares),
    missing,
  }
}

function quantiles(text: string, center: number): QuantileSummary {
  const bins = decodeBins(text)
  const at = (quantile: number) => quantileOf(bins, quantile) + center
  return { count: totalOf(bins), p50: at(0.5), p90: at(0.9), p99: at(0.99) }
}

function sharesOf(counts: Readonly<Record<string, number>>): { label: string; share: number }[] {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
  return Object.entries(counts)
    .sort(([, a], [, b]) => b - a)
    .map(([label, count]) => ({ label, share: count / total }))
}
