import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Pace } from './pace.js'

const positive = (max: number) => fc.double({ min: 1e-3, max, noNaN: true })

describe('the pace of a model', () => {
  it('is nothing before the first run, and that of the runs where all had as many rows', () => {
    const pace = new Pace()
    expect(pace.of(8)).toBe(0)
    for (let run = 0; run < 3; run++) pace.observe(4, 2)
    expect([1, 4, 32].map((rows) => pace.of(rows))).toEqual([2, 2, 2].map((ms) => expect.closeTo(ms, 9)))
  })

  it('is found from runs of different sizes, whatever a run and a row cost', () => {
    fc.assert(
      fc.property(
        positive(100),
        positive(10),
        fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 2 }),
        (a, b, sizes) => {
          fc.pre(new Set(sizes).size > 1)
          const pace = new Pace()
          for (const rows of sizes.slice(-20)) pace.observe(rows, a + b * rows)
          fc.pre(new Set(sizes.slice(-20)).size > 1)
          for (const rows of [1, 32, 100]) expect(pace.of(rows) / (a + b * rows)).toBeCloseTo(1, 4)
        },
      ),
    )
  })

  it('never falls with the rows, nor below nothing, whatever was measured', () => {
    const runs = fc.array(fc.tuple(fc.integer({ min: 1, max: 64 }), positive(1_000)), { minLength: 1 })
    fc.assert(
      fc.property(runs, (measured) => {
        const pace = new Pace()
        for (const [rows, ms] of measured) pace.observe(rows, ms)
        expect(pace.of(1)).toBeGreaterThan(0)
        expect(pace.of(64)).toBeGreaterThanOrEqual(pace.of(1))
      }),
    )
  })

  it('follows a model that has become slower', () => {
    const pace = new Pace()
    for (let run = 0; run < 40; run++) pace.observe(8, 1)
    for (let run = 0; run < 40; run++) pace.observe(8, 5)
    expect(pace.of(8)).toBeGreaterThan(4.9)
  })
})
