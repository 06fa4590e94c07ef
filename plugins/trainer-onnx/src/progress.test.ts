import type { TrainProgress } from '@tideway/core'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Progress } from './progress.js'

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
afterEach(() => void vi.useRealTimers())

it('tells the time left from the pace of this run alone, also when another one did the first epochs', () => {
  const reports: TrainProgress[] = []
  // 10 epochs of 10 steps, 5 epochs done before.
  const progress = new Progress((report) => reports.push(report), 10, 100, 50)
  vi.advanceTimersByTime(2_000)
  progress.step(6, 55, 0.5, 320)
  vi.advanceTimersByTime(2_000)
  progress.step(6, 60, 0.25, 320)
  progress.endOfEpoch(6, 60, { loss: 0.375, valLoss: 0.4 })
  // 5 steps in 2 s: 45 more take 18 s; then 10 steps in 4 s: 40 more take 16 s.
  expect(reports.map(({ secondsLeft }) => secondsLeft)).toEqual([18, 16, 16])
  expect(reports.map(({ samplesPerSecond }) => samplesPerSecond)).toEqual([160, 160, 160])
  expect(reports.map(({ metrics }) => metrics)).toEqual([{}, {}, { loss: 0.375, valLoss: 0.4 }])
})

it('has no time left at the last step', () => {
  const reports: TrainProgress[] = []
  const progress = new Progress((report) => reports.push(report), 1, 2)
  vi.advanceTimersByTime(500)
  progress.step(1, 1, 1, 1)
  vi.advanceTimersByTime(500)
  progress.step(1, 2, 1, 1)
  expect(reports.map(({ secondsLeft }) => secondsLeft)).toEqual([0.5, 0])
})
