import { describe, expect, it } from 'vitest'
import { issuesOf } from '../wire/parse.js'
import { augmentSchema } from './augment.js'

const issues = (steps: unknown): string[] => {
  const result = augmentSchema.safeParse(steps)
  return result.success ? [] : issuesOf(result.error)
}

describe('augmentSchema', () => {
  it('takes one step of each type', () => {
    const border = { fillMode: 'reflect', probability: 0.5 }
    const steps = [
      { type: 'shift', x: 2, ...border },
      { type: 'rotate', degrees: 10, fillValue: 3 },
      { type: 'flip', horizontal: true },
      { type: 'crop', height: 3, width: 4 },
      { type: 'crop', padding: 4, ...border },
      { type: 'zoom', factor: 0.1 },
      { type: 'brightness', delta: 0.2 },
      { type: 'contrast', factor: 0.5 },
      { type: 'noise', stddev: 0.1 },
      { type: 'cutout', size: 0.25, count: 2 },
      { type: 'jitter', stddev: 0.1 },
      { type: 'scale', stddev: 0.1 },
      { type: 'window', length: 0.9 },
      { type: 'timeShift', steps: 3, fillMode: 'wrap' },
      { type: 'mixup', alpha: 0.2 },
    ]
    expect(augmentSchema.parse(steps)).toEqual(steps)
  })

  it.each([
    ['an unknown type', { type: 'blur' }],
    ['an unknown field', { type: 'rotate', degrees: 3, degree: 3 }],
    ['a shift that moves nothing', { type: 'shift' }],
    ['a flip in no direction', { type: 'flip' }],
    ['half a crop', { type: 'crop', height: 3 }],
    ['a crop by window and padding', { type: 'crop', height: 3, width: 3, padding: 1 }],
    ['a probability above 1', { type: 'flip', vertical: true, probability: 2 }],
    ['an amount that is no number', { type: 'noise', stddev: Number.NaN }],
  ])('refuses %s, and names its place', (_, step) => {
    expect(issues([{ type: 'rotate', degrees: 3 }, step])).toEqual([expect.stringMatching(/^1[.:]/)])
  })

  it('takes mixup only as the last step', () => {
    const mixup = { type: 'mixup', alpha: 0.2 }
    expect(issues([mixup, mixup])).toEqual(['0: mixup must be the last step'])
  })
})
