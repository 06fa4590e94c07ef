import type { AbTests, AbTestView, Traffic, TrafficView } from '@tideway/core'

const AT = '2026-01-01T00:00:00.000Z'
const arm = (version: number) => ({ version, units: 0 })

const view: AbTestView = {
  result: 'not yet',
  reason: 'no unit has an outcome',
  test: {
    id: 'test-1',
    model: 'digits',
    control: 1,
    treatment: 2,
    metric: { kind: 'binary' },
    better: 'higher',
    leastEffect: 0.1,
    alpha: 0.05,
    beta: 0.2,
    split: 0.5,
    maxUnits: 1_000,
    salt: 'salt',
    status: 'running',
    actor: 'test',
    startedAt: AT,
  },
  control: arm(1),
  treatment: arm(2),
  exposed: 0,
  unknown: 0,
  capped: 0,
  effect: { estimate: 0, low: -1, high: 1 },
  pValue: 1,
  ratioPValue: 1,
}

/** Traffic and tests that do nothing: what the log says of them is the HTTP face's. */
export function stillTraffic(): { traffic: Traffic; abTests: AbTests } {
  const standing: TrafficView = {
    model: 'digits',
    policy: { kind: 'single' },
    state: 'effective',
    reason: '',
    answered: {},
  }
  return {
    traffic: {
      show: async () => standing,
      set: async () => standing,
      switch: async () => standing,
      history: async () => [],
      here: async () => standing,
      gatherFrom: () => undefined,
      onUnit: () => () => undefined,
    },
    abTests: {
      start: async () => view,
      show: async () => view,
      report: async () => ({ accepted: 0, repeated: 0, conflicting: [], unknown: [] }),
      promote: async () => view,
      stop: async () => view,
    },
  }
}
