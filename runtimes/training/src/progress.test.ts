import type { TrainProgress } from '@tideway/core'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Progress } from './progress.js'

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
afterEach(() => void vi.useRealTimers())

const none = { epochs: 0, steps: 0 }

it('tells the time left from the pace of this run alone, also when another one did the first epochs', () => {
  const reports: TrainProgress[] = []
  // 10 epochs of 10 steps, 5 epochs done before.
  const progress = new Progress((report) => reports.push(report), { epochs: 10, before: none }, 10, 50)
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
  const progress = new Progress((report) => reports.push(report), { epochs: 1, before: none }, 2)
  vi.advanceTimersByTime(500)
  progress.step(1, 1, 1, 1)
  vi.advanceTimersByTime(500)
  progress.step(1, 2, 1, 1)
  expect(reports.map(({ secondsLeft }) => secondsLeft)).toEqual([0.5, 0])
})

it('counts a part of a job within the whole job', () => {
  const reports: TrainProgress[] = []
  const report = (progress: TrainProgress): void => void reports.push(progress)
  // 3 epochs of 4 steps came before; this part was resumed behind its first one of two.
  const progress = new Progress(report, { epochs: 5, before: { epochs: 3, steps: 12 } }, 4, 4)
  vi.advanceTimersByTime(1_000)
  progress.step(2, 6, 0.5, 32)
  progress.endOfEpoch(2, 8, { loss: 0.5 })
  expect(reports.map(({ epoch, epochs, step, steps }) => [epoch, epochs, step, steps])).toEqual([
    [5, 5, 18, 20],
    [5, 5, 20, 20],
  ])
  // 2 steps in a second, 2 are left.
  expect(reports.map(({ secondsLeft }) => secondsLeft)).toEqual([1, 0])
})

it('counts the epochs of a part that is still to come', () => {
  const reports: TrainProgress[] = []
  const progress = new Progress((report) => reports.push(report), { epochs: 5, before: none }, 4)
  vi.advanceTimersByTime(1_000)
  progress.step(1, 2, 0.5, 32)
  expect(reports.map(({ epochs, steps, secondsLeft }) => [epochs, steps, secondsLeft])).toEqual([[5, 20, 9]])
})
