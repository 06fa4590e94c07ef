import { errors } from '../errors.js'
import { mergeBins } from './bins.js'
import { decodeBins, encodeBins } from './codec.js'
import { profileDigest } from './digest.js'
import type { Profile, ProfileSchema } from './schema.js'

const EPOCH = new Date(0).toISOString()

/** The profile of nothing: merging it with another gives that other's contents. */
export function emptyProfile(schema: ProfileSchema): Profile {
  return {
    v: 1,
    schemaDigest: profileDigest(schema),
    rows: 0,
    errors: 0,
    from: EPOCH,
    to: EPOCH,
    sketches: {},
    counts: {},
    missing: {},
  }
}

/**
 * The profile of all rows of both, over the time that both span. Exact, and independent of the order of merging.
 * Throws `PROFILE_MISMATCH` for profiles of different schemas, `PROFILE_INVALID` for a sketch that cannot be read.
 */
export function mergeProfiles(a: Profile, b: Profile): Profile {
  if (a.schemaDigest !== b.schemaDigest)
    throw errors.PROFILE_MISMATCH({ what: 'schema digest', first: a.schemaDigest, second: b.schemaDigest })
  const latencyMs = mergeText(a.latencyMs, b.latencyMs)
  return {
    v: 1,
    schemaDigest: a.schemaDigest,
    rows: a.rows + b.rows,
    errors: a.errors + b.errors,
    ...spanOf(a, b),
    sketches: mergeRecords(a.sketches, b.sketches, (one, other) => mergeText(one, other) as string),
    counts: mergeRecords(a.counts, b.counts, (one = {}, other = {}) => mergeRecords(one, other, add)),
    missing: mergeRecords(a.missing, b.missing, add),
    ...(latencyMs !== undefined && { latencyMs }),
  }
}

/** A profile without any inference says nothing of time. */
function spanOf(a: Profile, b: Profile): Pick<Profile, 'from' | 'to'> {
  const spans = [a, b].filter((profile) => profile.rows + profile.errors > 0)
  const times = (key: 'from' | 'to') => (spans.length > 0 ? spans : [a, b]).map((profile) => Date.parse(profile[key]))
  return {
    from: new Date(Math.min(...times('from'))).toISOString(),
    to: new Date(Math.max(...times('to'))).toISOString(),
  }
}

const add = (a = 0, b = 0): number => a + b

function mergeText(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return encodeBins(mergeBins(decodeBins(a), decodeBins(b)))
}

/** Keys in order, so that equal contents are equal JSON. Names come from outside: `__proto__` is one like any other. */
function mergeRecords<T>(
  a: Readonly<Record<string, T>>,
  b: Readonly<Record<string, T>>,
  merge: (one: T | undefined, other: T | undefined) => T,
): Record<string, T> {
  const own = (record: Readonly<Record<string, T>>, name: string) =>
    Object.hasOwn(record, name) ? record[name] : undefined
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort()
  return Object.fromEntries(names.map((name) => [name, merge(own(a, name), own(b, name))]))
}
