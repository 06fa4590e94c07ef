import type { JobRecord } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { duration } from './job-progress.js'
import { jsonView, lineView } from './progress.js'

const at = '2026-01-01T00:00:00Z'
const words = (progress: Record<string, unknown>): JobRecord => ({
  id: 'job',
  model: 'digits',
  status: 'running',
  spec: {},
  progress,
  createdAt: at,
  updatedAt: at,
})
const pace = { epochs: 2, steps: 20, samplesPerSecond: 100, secondsLeft: 9.5 }
const job = [
  words({ stage: 'loading' }),
  words({ stage: 'training', epoch: 1, step: 5, loss: 2.25, metrics: {}, ...pace }),
  words({ stage: 'training', epoch: 1, step: 8, loss: 2, metrics: {}, ...pace }),
  words({ stage: 'training', epoch: 2, step: 12, loss: 1, metrics: { valLoss: 1.5, valAccuracy: 0.875 }, ...pace }),
  words({ stage: 'quantizing' }),
]

describe('a job without a terminal', () => {
  it('has a line for each stage and epoch, with the newest metric', () => {
    const lines: string[] = []
    const view = lineView((line) => lines.push(line))
    for (const record of job) view.show(record)
    expect(lines).toEqual([
      'loading',
      'training epoch 1/2 loss 2.2500',
      'training epoch 2/2 loss 1.0000 valAccuracy 0.8750',
      'quantizing',
    ])
  })

  it('shows the loss of the validation rows where there is no accuracy', () => {
    const lines: string[] = []
    lineView((line) => lines.push(line)).show(
      words({ stage: 'training', epoch: 2, loss: 1, metrics: { valLoss: 0.5 } }),
    )
    expect(lines).toEqual(['training epoch 2/- loss 1.0000 valLoss 0.5000'])
  })
})

describe('a job as JSON lines', () => {
  it('has one object for each word on the training, each once, and nothing else', () => {
    const lines: string[] = []
    const view = jsonView((line) => lines.push(line))
    for (const record of job) for (const again of [record, record]) view.show(again)
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { epoch: 1, step: 5, loss: 2.25, metrics: {}, ...pace },
      { epoch: 1, step: 8, loss: 2, metrics: {}, ...pace },
      { epoch: 2, step: 12, loss: 1, metrics: { valLoss: 1.5, valAccuracy: 0.875 }, ...pace },
    ])
  })
})

it.each([
  [0, '0s'],
  [59.4, '59s'],
  [59.6, '1m00s'],
  [200, '3m20s'],
  [3_599.6, '1h00m'],
  [7_500, '2h05m'],
])('%d seconds left are shown as %s', (seconds, shown) => {
  expect(duration(seconds)).toBe(shown)
})
