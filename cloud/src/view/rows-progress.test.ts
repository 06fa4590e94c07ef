import { describe, expect, it } from 'vitest'
import type { PredictProgress } from '../predict/run.js'
import { jsonView, lineView, pace } from './rows-progress.js'

const at = (rows: number, over: Partial<PredictProgress> = {}): PredictProgress => ({
  rows,
  skipped: 0,
  resumedFrom: 0,
  bytesRead: rows * 10,
  bytes: 10_000,
  ...over,
})

describe('the pace of rows', () => {
  it('is of the rows that this process did, and says how long the rest takes', () => {
    let now = 0
    const paceOf = pace(() => now)
    now = 2_000
    expect(paceOf(at(500))).toEqual({ share: 0.5, rowsPerSecond: 250, secondsLeft: 2 })
    expect(paceOf(at(500, { resumedFrom: 400 }))).toEqual({ share: 0.5, rowsPerSecond: 50, secondsLeft: 10 })
    // The file says how many rows it has.
    expect(paceOf(at(500, { rowCount: 2_000 }))).toEqual({ share: 0.25, rowsPerSecond: 250, secondsLeft: 6 })
  })

  it('is not known before a row was done', () => {
    const paceOf = pace(() => 0)
    expect(paceOf(at(0))).toEqual({ share: 0, rowsPerSecond: 0, secondsLeft: undefined })
  })
})

describe('the progress of rows without a terminal', () => {
  it('is a line every ten seconds', () => {
    let now = 0
    const lines: string[] = []
    const view = lineView(
      pace(() => now),
      (line) => lines.push(line),
      () => now,
    )
    for (const [ms, rows] of [
      [1_000, 100],
      [5_000, 200],
      [11_000, 550],
    ] as const) {
      now = ms
      view.show(at(rows, { skipped: rows > 500 ? 3 : 0 }))
    }
    expect(lines).toEqual(['100 rows, 10.0%, 100 rows/s', '550 rows, 3 left out, 55.0%, 50 rows/s'])
  })

  it('is a JSON object for each part where programs ask', () => {
    const lines: string[] = []
    let now = 0
    const view = jsonView(
      pace(() => now),
      (line) => lines.push(line),
    )
    now = 1_000
    view.show(at(250, { rowCount: 1_000 }))
    const rest = { rows: 250, rowCount: 1_000, skipped: 0, bytesRead: 2_500, bytes: 10_000 }
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([{ ...rest, rowsPerSecond: 250, secondsLeft: 3 }])
  })
})
