import { type Bins, decodeBins, type Envelope, narrow, type Profile, profileBodySchema, totalOf } from '@tideway/core'
import type { Baseline } from './baseline.js'
import { errors } from './errors.js'

/** Rows that one report may claim. */
const MAX_ROWS = 1e9

/**
 * The profile in a report, reduced to the statistics of its version's schema. Throws `INPUT_REJECTED`,
 * `PROFILE_INVALID` and `PROFILE_INCONSISTENT`: a device may send anything, and what is merged stays merged.
 */
export function readProfile(report: Envelope, baseline: Baseline): Profile {
  const body = narrow(profileBodySchema, report.body, 'profile report')
  if (body.rows > MAX_ROWS) throw errors.PROFILE_INCONSISTENT({ reason: `it claims more than ${MAX_ROWS} rows` })
  const sketches: [string, string][] = []
  const counts: [string, Record<string, number>][] = []
  const missing: [string, number][] = []
  for (const { name, kind } of baseline.schema.statistics) {
    const lost = body.missing[name] ?? 0
    if (lost > 0) missing.push([name, lost])
    const labels = body.counts[name]
    const text = body.sketches[name]
    let values = 0
    if (kind === 'class' && labels) {
      values = Object.values(labels).reduce((sum, count) => sum + count, 0)
      counts.push([name, labels])
    } else if (kind !== 'class' && text !== undefined) {
      values = totalOf(readSketch(name, text, baseline))
      sketches.push([name, text])
    }
    if (values + lost !== body.rows)
      throw errors.PROFILE_INCONSISTENT({ reason: `${name} has ${values + lost} values for ${body.rows} rows` })
  }
  const { v, schemaDigest, rows, errors: failed, from, to } = body
  return {
    v,
    schemaDigest,
    rows,
    errors: failed,
    from,
    to,
    sketches: Object.fromEntries(sketches),
    counts: Object.fromEntries(counts),
    missing: Object.fromEntries(missing),
  }
}

function readSketch(name: string, text: string, baseline: Baseline): Bins {
  const bins = decodeBins(text, name)
  if (bins.accuracy !== baseline.schema.relativeAccuracy)
    throw errors.PROFILE_INCONSISTENT({ reason: `${name} has another accuracy than its schema` })
  return bins
}
