import { describe, expect, it } from 'vitest'
import { createPace } from './pace.js'

const limits = { maxConcurrentChunks: 3, minChunkTimeoutMs: 30_000 }

describe('the pace of a download', () => {
  it('grows by one with every chunk that arrives soon, up to the limit, and shrinks when they take long', () => {
    const pace = createPace(limits)
    expect(pace.window).toBe(1)
    for (let i = 0; i < 5; i++) pace.arrived(65_536, 10)
    expect(pace.window).toBe(3)
    pace.arrived(65_536, 5_000)
    expect(pace.window).toBe(2)
    pace.timedOut()
    expect(pace.window).toBe(1)
  })

  it('waits four times as long as the measured rate predicts, never less than the limit, in whole milliseconds', () => {
    const pace = createPace(limits)
    expect(pace.timeoutMs(65_536, 1)).toBe(60_000)
    pace.arrived(1_454, 233)
    expect(pace.timeoutMs(65_536, 1)).toBe(Math.ceil((4 * 65_536 * 233) / 1_454))
    expect(Number.isInteger(pace.timeoutMs(65_536, 2))).toBe(true)
    expect(pace.timeoutMs(1_000, 1)).toBe(30_000)
    expect(pace.timeoutMs(1_000, 2)).toBe(60_000)
    expect(pace.timeoutMs(65_536, 20)).toBe(600_000)
  })
})
