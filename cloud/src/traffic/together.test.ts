import type { ShadowCounts, TrafficView } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { together } from './together.js'

const view = (of: Partial<TrafficView>): TrafficView => ({
  model: 'm',
  policy: { kind: 'single' },
  state: 'effective',
  reason: '',
  answered: {},
  ...of,
})
const shadow = (agreed: number, latencyRatio?: number): ShadowCounts => ({
  agreed,
  differed: 1,
  failed: 2,
  dropped: 3,
  ...(latencyRatio !== undefined && { latencyRatio }),
})

describe('the traffic of several processes', () => {
  it('adds up', () => {
    const views = [
      view({ answered: { 1: 3, 2: 1 }, shadow: shadow(9, 2) }),
      view({ answered: { 2: 4 }, shadow: shadow(29, 1) }),
      view({ shadow: shadow(5) }),
    ] as const
    expect(together(views)).toEqual(
      view({
        answered: { 1: 3, 2: 5 },
        shadow: { agreed: 43, differed: 3, failed: 6, dropped: 9, latencyRatio: (2 * 10 + 1 * 30) / 40 },
      }),
    )
  })

  it('is in force where it is in all of them', () => {
    const late = view({ state: 'failed', reason: 'no such file' })
    expect(together([view({}), late])).toMatchObject({ state: 'failed', reason: 'no such file' })
    expect(together([view({}), view({})])).toEqual(view({}))
  })
})
