import { createProfileBuilder, decodeBins, type Profile, type ProfileSchema, profileDigest } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import type { Baseline } from './baseline.js'
import { logChoose } from './statistics/log-factorial.js'
import { createTrack } from './track.js'

/** Seeded standard normal numbers: Mulberry32 and Box-Muller. */
function normals(seed: number): () => number {
  let state = seed | 0
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
}

const FEATURES = 6
const schema: ProfileSchema = {
  v: 1,
  relativeAccuracy: 0.01,
  statistics: [
    ...Array.from({ length: FEATURES }, (_, index) => ({
      kind: 'feature' as const,
      name: `feature.${index}`,
      input: 'x',
      index,
    })),
    { kind: 'confidence', name: 'confidence', output: 'p' },
    { kind: 'class', name: 'class', output: 'p' },
  ],
}
const schemaDigest = profileDigest(schema)

/**
 * Rows as real ones are: columns that share a common cause, of other shapes (normal, skewed, rounded to few values,
 * now and then missing), and a classifier of them with unequal classes.
 */
function profileOf(rows: number, normal: () => number, shift = 0): Profile {
  const builder = createProfileBuilder(schema)
  const x = new Float32Array(rows * FEATURES)
  const p = new Float32Array(rows * 4)
  for (let row = 0; row < rows; row++) {
    const common = normal() + shift
    const columns = [common + normal(), common, Math.exp(common), Math.round(common * 2), normal(), common - normal()]
    if (normal() > 2) columns[4] = Number.NaN
    x.set(columns, row * FEATURES)
    const scores = [0.5 + common, normal(), -common, common * 2 - 1].map(Math.exp)
    const total = scores.reduce((sum, score) => sum + score, 0)
    p.set(
      scores.map((score) => score / total),
      row * 4,
    )
  }
  builder.observe(
    { x: { dtype: 'float32', shape: [rows, FEATURES], data: x } },
    { p: { dtype: 'float32', shape: [rows, 4], data: p } },
  )
  return builder.seal(new Date(0), new Date(60_000))
}

function baselineOf(profile: Profile): Baseline {
  const bins = Object.entries(profile.sketches).map(([name, text]) => [name, decodeBins(text)] as const)
  return { model: 'm', manifestDigest: 'd', schema, schemaDigest, profile, bins: new Map(bins) }
}

interface Life {
  readonly window: number
  readonly windows: number
}
const LIVES: Life[] = [
  { window: 50, windows: 8 },
  { window: 100, windows: 2 },
  { window: 333, windows: 3 },
  { window: 1000, windows: 1 },
  { window: 15, windows: 12 },
]

/** Of `devices` new devices on an undrifted stream, how many are ever flagged, at each rate. A baseline serves ten. */
function simulate(rates: readonly number[], devices: number, lives: readonly Life[], baselineRows: number): number[] {
  const normal = normals(20_261_123)
  const flagged = rates.map(() => 0)
  let baseline = baselineOf(profileOf(baselineRows, normal))
  for (let device = 0; device < devices; device++) {
    if (device % 10 === 0) baseline = baselineOf(profileOf(baselineRows, normal))
    const { window, windows } = lives[device % lives.length] as Life
    const profiles = Array.from({ length: windows }, () => profileOf(window, normal))
    for (const [i, alarmRate] of rates.entries()) {
      const schedule = { alarmRate, firstLookRows: 50, segmentRows: 300 }
      const track = createTrack(baseline, schedule, { fleet: 'f', device: 'd' })
      for (const profile of profiles) track.add(profile, '')
      if (track.flagged) flagged[i] = (flagged[i] ?? 0) + 1
    }
  }
  return flagged
}

/** The number of alarms that a true rate of `rate` exceeds in one of 10,000 such tests. */
function allowed(trials: number, rate: number): number {
  const share = (k: number) => Math.exp(logChoose(trials, k) + k * Math.log(rate) + (trials - k) * Math.log1p(-rate))
  let k = 0
  for (let below = share(0); below < 0.9999; below += share(k)) k++
  return k
}

describe('false alarms', () => {
  it('stay within the stated rates over all looks, windows and segments', () => {
    const rates = [0.001, 0.01, 0.05]
    const devices = 300
    const flagged = simulate(rates, devices, LIVES, 1000)
    for (const [i, rate] of rates.entries())
      expect(flagged[i], `at ${rate}`).toBeLessThanOrEqual(allowed(devices, rate))
  })

  it('stay within the stated rates when the baseline is small', () => {
    const rates = [0.01, 0.05]
    const flagged = simulate(rates, 200, LIVES, 60)
    for (const [i, rate] of rates.entries()) expect(flagged[i], `at ${rate}`).toBeLessThanOrEqual(allowed(200, rate))
  })

  it('would not stay within them without the corrections, so that this test can fail', () => {
    const normal = normals(7)
    const naive = Array.from({ length: 200 }, () => {
      const track = createTrack(
        baselineOf(profileOf(1000, normal)),
        // What testing each of nine statistics at 0.05 by itself would amount to.
        { alarmRate: 0.05 * 2 * 9, firstLookRows: 50, segmentRows: 6400 },
        { fleet: 'f', device: 'd' },
      )
      return track.add(profileOf(100, normal), '')
    })
    expect(naive.filter(Boolean).length).toBeGreaterThan(allowed(200, 0.05))
  })
})

describe('drift', () => {
  it('of one deviation is flagged at 100 rows, and within 1,000 when it begins late', () => {
    const normal = normals(99)
    for (let device = 0; device < 8; device++) {
      const baseline = baselineOf(profileOf(1000, normal))
      const schedule = { alarmRate: 0.001, firstLookRows: 50, segmentRows: 1600 }
      const early = createTrack(baseline, schedule, { fleet: 'f', device: 'early' })
      early.add(profileOf(100, normal, 1), '')
      expect(early.flagged).toBe(true)
      const late = createTrack(baseline, schedule, { fleet: 'f', device: 'late' })
      for (let i = 0; i < 64; i++) late.add(profileOf(100, normal), '')
      expect(late.flagged).toBe(false)
      for (let i = 0; i < 10 && !late.flagged; i++) late.add(profileOf(100, normal, 1), '')
      expect(late.flagged).toBe(true)
    }
  })
})
