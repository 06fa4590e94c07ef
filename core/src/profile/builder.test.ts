import { describe, expect, it } from 'vitest'
import type { Tensor } from '../contracts/tensor.js'
import { limits } from '../wire/limits.js'
import { totalOf } from './bins.js'
import { createProfileBuilder } from './builder.js'
import { decodeBins } from './codec.js'
import { type ProfileSchema, profileBodySchema, type Statistic } from './schema.js'
import { quantileOf } from './sketch.js'

const schemaOf = (...statistics: Statistic[]): ProfileSchema => ({ v: 1, relativeAccuracy: 0.01, statistics })
const floats = (shape: number[], ...values: number[]): Tensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
})
const from = '2026-01-01T00:00:00.000Z'
const to = new Date('2026-01-01T00:01:00.000Z')

/** The one value that a statistic takes from one row. */
function valueOf(statistic: Statistic, tensors: Record<string, Tensor>): number {
  const builder = createProfileBuilder(schemaOf(statistic))
  builder.observe(tensors, tensors)
  const profile = builder.seal(from, to)
  const text = profile.sketches[statistic.name]
  if (text === undefined || profile.missing[statistic.name]) return Number.NaN
  return quantileOf(decodeBins(text), 0.5)
}

const image = (of: Extract<Statistic, { kind: 'image' }>['of'], shape: [number, number, number]): Statistic => ({
  kind: 'image',
  name: of,
  input: 'x',
  shape,
  of,
})

describe('profile builder', () => {
  it('takes columns of every row of a batch, whatever their element type', () => {
    const schema = schemaOf(
      { kind: 'feature', name: 'a', input: 'x', index: 0 },
      { kind: 'feature', name: 'b', input: 'x', index: 1, center: 10, floor: 0.5 },
    )
    const batches: Tensor[] = [
      floats([2, 2], 1, 10, 2, 20),
      { dtype: 'int64', shape: [2, 2], data: BigInt64Array.from([1n, 10n, 2n, 20n]) },
      { dtype: 'float16', shape: [2, 2], data: Uint16Array.from([0x3c00, 0x4900, 0x4000, 0x4d00]) },
      { dtype: 'string', shape: [2, 2], data: ['1', '10', '2', '20'] },
      { dtype: 'uint8', shape: [2, 2], data: Uint8Array.from([1, 10, 2, 20]) },
    ]
    for (const x of batches) {
      const builder = createProfileBuilder(schema)
      builder.observe({ x }, {})
      expect(builder.rows).toBe(2)
      const profile = builder.seal(from, to)
      const [a, b] = ['a', 'b'].map((name) => decodeBins(profile.sketches[name] ?? ''))
      expect(a && quantileOf(a, 0), x.dtype).toBeCloseTo(1, 1)
      expect(a && quantileOf(a, 1), x.dtype).toBeCloseTo(2, 1)
      expect(b && quantileOf(b, 0), x.dtype).toBe(0)
      expect(Math.abs((b ? quantileOf(b, 1) : 0) - 10), x.dtype).toBeLessThan(0.1)
    }
  })

  it('counts NaN, infinite, absent and unreadable values as missing', () => {
    const builder = createProfileBuilder(
      schemaOf(
        { kind: 'feature', name: 'a', input: 'x', index: 0 },
        { kind: 'feature', name: 'beyond', input: 'x', index: 7 },
        { kind: 'confidence', name: 'c', output: 'none' },
        { kind: 'class', name: 'k', output: 'y' },
        image('mean', [1, 1, 1]),
      ),
    )
    builder.observe(
      { x: floats([4, 1], Number.NaN, Number.POSITIVE_INFINITY, 3, Number.NEGATIVE_INFINITY) },
      { y: floats([4, 2], Number.NaN, 1, 0, 1, 1, Number.NaN, 1, 0) },
    )
    builder.observe({ x: { dtype: 'string', shape: [1, 1], data: [' '] } }, {})
    const profile = builder.seal(from, to)
    expect(profile.rows).toBe(5)
    expect(profile.missing).toEqual({ a: 4, beyond: 5, c: 5, k: 3, mean: 4 })
    expect(profile.counts).toEqual({ k: { '0': 1, '1': 1 } })
  })

  it('counts labels: the largest value, a whole number itself, or a rounded probability', () => {
    const counts = (y: Tensor) => {
      const builder = createProfileBuilder(schemaOf({ kind: 'class', name: 'class', output: 'y' }))
      builder.observe({}, { y })
      return builder.seal(from, to).counts.class
    }
    expect(counts(floats([3, 3], 0, 2, 1, 5, 5, 0, -3, -2, -1))).toEqual({ '0': 1, '1': 1, '2': 1 })
    expect(counts(floats([3, 1], 0.2, 0.5, 0.9))).toEqual({ '0': 1, '1': 2 })
    expect(counts({ dtype: 'int64', shape: [3], data: BigInt64Array.from([7n, 7n, 1025n]) })).toEqual({
      '1': 1,
      '7': 2,
    })
  })

  it('takes the confidence of a probability output', () => {
    const confidence: Statistic = { kind: 'confidence', name: 'c', output: 'x' }
    expect(valueOf(confidence, { x: floats([1, 3], 0.1, 0.7, 0.2) })).toBeCloseTo(0.7, 1)
    expect(valueOf(confidence, { x: floats([1, 1], 0.1) })).toBeCloseTo(0.9, 1)
  })

  it('takes image statistics as computed by hand', () => {
    const shape: [number, number, number] = [3, 3, 1]
    const x = floats([1, 9], 0, 0, 0, 0, 0.5, 1, 0, 0, 0)
    const expected = {
      mean: 1.5 / 9,
      deviation: Math.sqrt(1.25 / 9 - (1.5 / 9) ** 2),
      sharpness: Math.abs(4 * 0.5 - 1),
      dark: 7 / 9,
      bright: 1 / 9,
      centroidX: (0.5 * 1 + 1 * 2) / 1.5 / 2 - 0.5,
      centroidY: 0,
    }
    for (const [of, value] of Object.entries(expected)) {
      const found = valueOf(image(of as keyof typeof expected, shape), { x })
      expect(Math.abs(found - value), of).toBeLessThanOrEqual(Math.abs(value) * 0.0101)
    }
  })

  it('averages channels, scales bytes to 0 to 1, and takes a blank image as centred', () => {
    const bytes: Tensor = { dtype: 'uint8', shape: [1, 1, 2, 3], data: Uint8Array.from([255, 0, 0, 0, 255, 255]) }
    expect(valueOf(image('mean', [1, 2, 3]), { x: bytes })).toBeCloseTo(0.5, 1)
    expect(valueOf(image('centroidX', [3, 3, 1]), { x: floats([1, 9], ...Array<number>(9).fill(0)) })).toBe(0)
    expect(valueOf(image('mean', [2, 2, 1]), { x: floats([1, 3], 1, 1, 1) })).toBeNaN()
  })

  it('projects with the same signs on every machine', () => {
    const projection = (seed: number): Statistic => ({ kind: 'projection', name: 'p', input: 'x', seed })
    const unit = (i: number) => ({ x: floats([1, 16], ...Array.from({ length: 16 }, (_, k) => Number(k === i))) })
    const signs = (seed: number) =>
      Array.from({ length: 16 }, (_, i) => (valueOf(projection(seed), unit(i)) > 0 ? '+' : '-')).join('')
    expect([signs(0), signs(1), signs(-5)]).toMatchInlineSnapshot(`
      [
        "+--++--++--+-+--",
        "--++-++--+-+-+++",
        "--+++++++---+---",
      ]
    `)
    expect(Math.abs(valueOf(projection(0), unit(3)))).toBeCloseTo(0.25, 1)
  })

  it('seals what the schema of the wire accepts, and starts again from nothing', () => {
    const builder = createProfileBuilder(schemaOf({ kind: 'feature', name: 'a', input: 'x', index: 0 }))
    builder.observe({ x: floats([1, 1], 1) }, {}, 2.5)
    builder.observe({ x: floats([1, 1], 1) }, {}, Number.NaN)
    builder.observeError()
    const profile = profileBodySchema.parse(JSON.parse(JSON.stringify(builder.seal(from, to))))
    expect(profile).toMatchObject({ rows: 2, errors: 1, from, to: to.toISOString() })
    expect(quantileOf(decodeBins(profile.latencyMs ?? ''), 0.5)).toBeCloseTo(2.5, 1)
    const next = builder.seal(from, to)
    expect(next).toMatchObject({ rows: 0, errors: 0, missing: {} })
    expect(next.latencyMs).toBeUndefined()
    expect(totalOf(decodeBins(next.sketches.a ?? ''))).toBe(0)
  })

  it('stays within 64 KiB by coarsening sketches, and loses no value', () => {
    const columns = 200
    const builder = createProfileBuilder(
      schemaOf(
        ...Array.from(
          { length: columns },
          (_, index): Statistic => ({
            kind: 'feature',
            name: `column-${index}`,
            input: 'x',
            index,
          }),
        ),
      ),
    )
    const rows = 1000
    const data = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i) * 10 ** ((i * 7919) % 9))
    builder.observe({ x: { dtype: 'float32', shape: [rows, columns], data } }, {})
    const profile = builder.seal(from, to)
    expect(JSON.stringify(profile).length).toBeLessThanOrEqual(limits.maxBaselineBytes)
    expect(JSON.stringify(profile).length).toBeGreaterThan(limits.maxBaselineBytes / 2)
    for (const text of Object.values(profile.sketches)) expect(totalOf(decodeBins(text))).toBe(rows)
  })
})
