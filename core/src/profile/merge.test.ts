import { describe, expect, it } from 'vitest'
import { type Bins, binAt, coarsen, compareBins, mergeBins, totalOf } from './bins.js'
import { createProfileBuilder } from './builder.js'
import { decodeBins, encodeBins } from './codec.js'
import { emptyProfile, mergeProfiles } from './merge.js'
import type { Profile, ProfileSchema } from './schema.js'
import { createSketch, quantileOf } from './sketch.js'

const ACCURACY = 0.01

function sketchOf(values: readonly number[]): Bins {
  const sketch = createSketch(ACCURACY)
  for (const value of values) sketch.add(value)
  return sketch.bins()
}

/** Deterministic, of both signs, with zeros, exact ones (key 0) and magnitudes from 1e-9 to 1e9. */
function sample(size: number, seed: number): number[] {
  return Array.from({ length: size }, (_, i) => {
    const kind = (i * 31 + seed) % 7
    if (kind === 0) return 0
    if (kind === 1) return seed % 2 === 0 ? 1 : -1
    return Math.sin(i * 12.9898 + seed) * 10 ** (((i * 13 + seed) % 19) - 9)
  })
}

function quantile(values: readonly number[], q: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(q * (values.length - 1))] as number
}

describe('sketch bins', () => {
  it('give quantiles within the relative accuracy, for zero, negative and merged values', () => {
    const [one, two, three] = [sample(400, 1), sample(300, 2), sample(1, 5)]
    const merged = mergeBins(mergeBins(sketchOf(one), sketchOf(two)), sketchOf(three))
    const all = [...one, ...two, ...three]
    expect(totalOf(merged)).toBe(all.length)
    for (let q = 0; q <= 1; q += 1 / 64) {
      const exact = quantile(all, q)
      expect(Math.abs(quantileOf(merged, q) - exact), String(q)).toBeLessThanOrEqual(Math.abs(exact) * 0.010001)
    }
  })

  it('are the same however they are merged, at the same or at different levels', () => {
    const parts = [1, 2, 3, 4].map((seed) => sketchOf(sample(200, seed)))
    const whole = sketchOf([1, 2, 3, 4].flatMap((seed) => sample(200, seed)))
    const fold = (list: readonly Bins[]) => list.reduce(mergeBins)
    expect(fold(parts)).toEqual(whole)
    expect(fold(parts.toReversed())).toEqual(whole)
    const levels = parts.map((bins, i) => coarsen(bins, i))
    expect(fold(levels)).toEqual(coarsen(whole, 3))
    expect(fold(levels.toReversed())).toEqual(coarsen(whole, 3))
    const [a, b, c, d] = levels as [Bins, Bins, Bins, Bins]
    expect(mergeBins(mergeBins(d, b), mergeBins(c, a))).toEqual(coarsen(whole, 3))
  })

  it('keep the relative accuracy of their level when they are coarsened', () => {
    const values = sample(500, 3)
    for (const level of [1, 2, 4]) {
      const gamma = ((1 + ACCURACY) / (1 - ACCURACY)) ** (2 ** level)
      const accuracy = (gamma - 1) / (gamma + 1)
      const bins = coarsen(sketchOf(values), level)
      for (let q = 0; q <= 1; q += 1 / 32) {
        const exact = quantile(values, q)
        expect(Math.abs(quantileOf(bins, q) - exact)).toBeLessThanOrEqual(Math.abs(exact) * accuracy * 1.000001)
      }
    }
  })

  it('are compared bin by bin in order of value', () => {
    const seen: [number, number][] = []
    compareBins(sketchOf([-5, 0, 1, 1]), sketchOf([-5, -0.1, 1, 9]), (a, b) => seen.push([a, b]))
    expect(seen).toEqual([
      [1, 1],
      [0, 1],
      [1, 0],
      [2, 1],
      [0, 1],
    ])
  })

  it('survive encoding, and are refused when damaged', () => {
    const huge: Bins = {
      accuracy: ACCURACY,
      level: 2,
      at: Int32Array.from([binAt(-1, 9), 0]),
      counts: Float64Array.from([2 ** 40, 1]),
    }
    for (const bins of [sketchOf([]), sketchOf(sample(500, 4)), sketchOf([5e-324, 1.7e308, -1e-300]), huge])
      expect(decodeBins(encodeBins(bins))).toEqual(bins)
    const raw = atob(encodeBins(sketchOf([1, 2, 3])))
    const replace = (at: number, byte: number) => btoa(raw.slice(0, at) + String.fromCharCode(byte) + raw.slice(at + 1))
    const damaged = [
      'not base64!',
      '',
      replace(0, 9),
      replace(1, 200),
      btoa(raw.slice(0, -1)),
      btoa(`${raw}\u0000\u0001`),
      btoa(`${raw}\u0001\u0000`),
      btoa(`${raw}\u00ff\u00ff\u00ff\u00ff\u0001\u0001`),
      btoa(raw + '\u00ff'.repeat(9)),
      btoa(raw.slice(0, 2) + '\u0000'.repeat(8)),
    ]
    for (const text of damaged)
      expect(() => decodeBins(text), text).toThrowError(expect.objectContaining({ code: 'PROFILE_INVALID' }))
  })

  it('of different accuracies are not merged', () => {
    const other = createSketch(0.02).bins()
    expect(() => mergeBins(sketchOf([1]), other)).toThrowError(expect.objectContaining({ code: 'PROFILE_MISMATCH' }))
  })
})

const schema: ProfileSchema = {
  v: 1,
  relativeAccuracy: ACCURACY,
  statistics: [
    { kind: 'feature', name: 'a', input: 'x', index: 0 },
    { kind: 'class', name: '__proto__', output: 'x' },
  ],
}

function profileOf(values: readonly number[], minute: number): Profile {
  const builder = createProfileBuilder(schema)
  const data = Float64Array.from(values.flatMap((value) => [value, 1, -1]))
  const x = { dtype: 'float64' as const, shape: [values.length, 3], data }
  builder.observe({ x }, { x }, 1 + minute)
  builder.observeError()
  return builder.seal(new Date(minute * 60_000), new Date((minute + 1) * 60_000))
}

describe('profiles', () => {
  it('merge to the profile of all rows, in any order', () => {
    const values = [1, 2, 3].map((seed) => [...sample(100, seed), Number.NaN])
    const [a, b, c] = values.map(profileOf) as [Profile, Profile, Profile]
    const left = mergeProfiles(mergeProfiles(a, b), c)
    expect(mergeProfiles(c, mergeProfiles(b, a))).toEqual(left)
    expect(mergeProfiles(mergeProfiles(c, a), b)).toEqual(left)
    const whole = profileOf(values.flat(), 0)
    expect(left).toMatchObject({ rows: 303, errors: 3, missing: { a: 3 }, sketches: { a: whole.sketches.a } })
    expect(Object.entries(left.counts)).toEqual(Object.entries(whole.counts))
    expect([left.from, left.to]).toEqual(['1970-01-01T00:00:00.000Z', '1970-01-01T00:03:00.000Z'])
    expect(totalOf(decodeBins(left.latencyMs ?? ''))).toBe(3)
  })

  it('keep their contents when merged with the profile of nothing', () => {
    const profile = profileOf([1, 2, 3], 7)
    expect(mergeProfiles(emptyProfile(schema), profile)).toEqual(profile)
    expect(mergeProfiles(profile, emptyProfile(schema))).toEqual(profile)
  })

  it('of different schemas are not merged', () => {
    const other = emptyProfile({ ...schema, relativeAccuracy: 0.02 })
    expect(() => mergeProfiles(other, emptyProfile(schema))).toThrowError(
      expect.objectContaining({ code: 'PROFILE_MISMATCH' }),
    )
  })
})
