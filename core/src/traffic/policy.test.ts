import { describe, expect, it } from 'vitest'
import { narrow } from '../wire/parse.js'
import { sharesOf, type TrafficPolicy, trafficRequestSchema, versionsIn } from './policy.js'

const read = (policy: unknown) => narrow(trafficRequestSchema, policy, 'the policy')

describe('a traffic policy', () => {
  it.each([
    [{ kind: 'single' }, [], []],
    [{ kind: 'single', version: 2, shadow: { version: 3 } }, [[2, 100]], [2, 3]],
    [
      {
        kind: 'weighted',
        versions: [
          { version: 1, weight: 33.3 },
          { version: 2, weight: 66.7 },
        ],
      },
      [
        [1, 33.3],
        [2, 66.7],
      ],
      [1, 2],
    ],
    [
      { kind: 'canary', stable: '1', canary: 2, percent: 5 },
      [
        [1, 95],
        [2, 5],
      ],
      [1, 2],
    ],
    [{ kind: 'blue-green', blue: 1, green: 2, active: 'green' }, [[2, 100]], [1, 2]],
  ] as const)('of %j says who answers and what is kept loaded', (policy, shares, versions) => {
    const read_ = read(policy) as TrafficPolicy
    expect(sharesOf(read_).map(({ version, weight }) => [version, weight])).toEqual(shares)
    expect(versionsIn(read_)).toEqual(versions)
  })

  it('is sticky unless it says otherwise, and has a tolerance', () => {
    expect(read({ kind: 'canary', stable: 'live', canary: 2, percent: 5, shadow: { version: 3 } })).toMatchObject({
      stable: 'live',
      sticky: true,
      shadow: { percent: 100, tolerance: { abs: 1e-5, rel: 1e-3, top1: false } },
    })
  })

  it.each([
    [{ kind: 'mirror' }, ['kind']],
    [{ kind: 'canary', stable: 0, canary: '1.5', percent: 100 }, ['stable', 'canary', 'percent']],
    [{ kind: 'canary', stable: 1, canary: 1, percent: 5 }, ['canary: version 1 is named twice']],
    [
      {
        kind: 'weighted',
        versions: [
          { version: 1, weight: 0 },
          { version: 2, weight: -1 },
        ],
      },
      ['versions.0.weight', 'versions.1.weight'],
    ],
    [
      {
        kind: 'weighted',
        versions: [
          { version: 1, weight: 50 },
          { version: 2, weight: 40 },
        ],
      },
      ['sum up to 90'],
    ],
    [{ kind: 'weighted', versions: [{ version: 1, weight: 100 }] }, ['versions']],
    [
      {
        kind: 'weighted',
        versions: [
          { version: 1, weight: 50 },
          { version: 1, weight: 50 },
        ],
      },
      ['versions.1.version'],
    ],
    [{ kind: 'blue-green', blue: 1, green: 2, active: 'red' }, ['active']],
    [{ kind: 'blue-green', blue: 1, green: 2, shadow: { version: 2 } }, ['shadow.version']],
    [
      { kind: 'single', shadow: { version: 2, percent: 0, tolerance: { abs: -1 } } },
      ['shadow.percent', 'shadow.tolerance.abs'],
    ],
    [{ kind: 'single', weight: 5 }, ['weight']],
    [null, ['root']],
  ])('%j is refused, naming every bad field', (policy, names) => {
    let message = ''
    try {
      read(policy)
    } catch (error) {
      message = String(error)
    }
    for (const name of names) expect(message).toContain(name)
  })
})
