import { describe, expect, it } from 'vitest'
import type { Signature } from '../contracts/tensor.js'
import { createProfileBuilder } from './builder.js'
import { profileDigest } from './digest.js'
import { profileSchemaSchema } from './schema.js'
import { suggestProfileSchema } from './suggest.js'
import { summarizeProfile } from './summary.js'

const signatureOf = (inputs: number[], output: number | null): Signature => ({
  inputs: inputs.map((width, i) => ({ name: `x${i}`, dtype: 'float32', shape: [null, width] })),
  outputs: [{ name: 'y', dtype: 'float32', shape: output === null ? [null] : [null, output] }],
})
const kinds = (schema: ReturnType<typeof suggestProfileSchema>) => {
  const counts: Record<string, number> = {}
  for (const { kind } of schema.statistics) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

describe('suggested profile schemas', () => {
  it('take each feature up to 64, and fewer with projections beyond', () => {
    const of = (inputs: number[]) => suggestProfileSchema({ signature: signatureOf(inputs, 3), task: 'classification' })
    expect(kinds(of([64]))).toEqual({ feature: 64, confidence: 1, class: 1 })
    expect(kinds(of([8, 4]))).toEqual({ feature: 12, confidence: 1, class: 1 })
    expect(kinds(of([65]))).toEqual({ feature: 32, projection: 4, confidence: 1, class: 1 })
    expect(kinds(of([1000, 5]))).toEqual({ feature: 21, projection: 8, confidence: 1, class: 1 })
    for (const inputs of [[64], [65], [1000, 5], [8, 4]])
      expect(profileSchemaSchema.parse(of(inputs))).toEqual(of(inputs))
  })

  it('take statistics of images, and values of regressors', () => {
    const image = suggestProfileSchema({
      signature: signatureOf([784], 10),
      image: [28, 28, 1],
      classes: Array.from({ length: 10 }, String),
      task: 'classification',
    })
    expect(kinds(image)).toEqual({ image: 7, projection: 4, confidence: 1, class: 1 })
    for (const [output, values] of [
      [null, 1],
      [1, 1],
      [20, 8],
    ] as const)
      expect(kinds(suggestProfileSchema({ signature: signatureOf([2], output), task: 'regression' }))).toEqual({
        feature: 2,
        value: values,
      })
  })

  it('sketch columns around their means where these are known', () => {
    const schema = suggestProfileSchema({
      signature: signatureOf([2], 1),
      task: 'regression',
      features: [{ name: 'year', mean: 2020, deviation: 3 }, { name: 'load' }],
    })
    expect(schema.statistics.slice(0, 2)).toEqual([
      { kind: 'feature', name: 'feature.year', input: 'x0', index: 0, center: 2020, floor: 0.003 },
      { kind: 'feature', name: 'feature.load', input: 'x0', index: 1 },
    ])
  })

  it('are refused with a name twice, or one that every object has', () => {
    const named = (...names: string[]) =>
      profileSchemaSchema.safeParse({
        v: 1,
        relativeAccuracy: 0.01,
        statistics: names.map((name) => ({ kind: 'class', name, output: 'y' })),
      }).success
    expect([named('a', 'b'), named('a', 'a'), named('constructor'), named('__proto__')]).toEqual([
      true,
      false,
      false,
      false,
    ])
  })

  it('have a digest that does not depend on the order of keys', () => {
    const a = {
      v: 1 as const,
      relativeAccuracy: 0.01,
      statistics: [{ kind: 'class' as const, name: 'c', output: 'y' }],
    }
    const b = {
      statistics: [{ output: 'y', name: 'c', kind: 'class' as const }],
      relativeAccuracy: 0.01,
      v: 1 as const,
    }
    expect(profileDigest(a)).toBe(profileDigest(b))
    expect(profileDigest(a)).not.toBe(profileDigest({ ...a, relativeAccuracy: 0.02 }))
    expect(profileDigest(a)).toMatch(/^[0-9a-f]{64}$/)
  })
})

describe('profile summaries', () => {
  it('give quantiles where they were, and shares of classes', () => {
    const schema = suggestProfileSchema({
      signature: signatureOf([1], 2),
      task: 'classification',
      features: [{ name: 'year', mean: 2000, deviation: 10 }],
    })
    const builder = createProfileBuilder(schema)
    for (let i = 0; i <= 100; i++)
      builder.observe(
        { x0: { dtype: 'float32', shape: [1, 1], data: Float32Array.of(i === 100 ? Number.NaN : 1950 + i) } },
        { y: { dtype: 'float32', shape: [1, 2], data: Float32Array.of(0.5, i < 76 ? 0.6 : 0.4) } },
        i / 10,
      )
    const summary = summarizeProfile(builder.seal(new Date(0), new Date(1)), schema)
    expect(summary).toMatchObject({ rows: 101, errors: 0, missing: { 'feature.year': 1 } })
    expect(summary.statistics['feature.year']?.count).toBe(100)
    expect(Math.abs((summary.statistics['feature.year']?.p50 ?? 0) - 1999)).toBeLessThan(1)
    expect(Math.abs((summary.statistics['feature.year']?.p99 ?? 0) - 2048)).toBeLessThan(1)
    expect(summary.latencyMs?.p90).toBeCloseTo(9, 0)
    expect(summary.shares.class).toEqual([
      { label: '1', share: 76 / 101 },
      { label: '0', share: 25 / 101 },
    ])
  })
})
