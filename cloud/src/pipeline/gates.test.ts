import { expect, it } from 'vitest'
import { checkGates } from './gates.js'

it('lets pass what holds, a bound included', () => {
  expect(() =>
    checkGates({ minAccuracy: 0.9, maxAccuracyLoss: 0.01 }, { accuracy: 0.91 }, { accuracy: 0.9 }),
  ).not.toThrow()
  expect(() => checkGates({ maxErrorRatio: 1.1 }, { meanSquaredError: 1 }, { meanSquaredError: 1.1 })).not.toThrow()
})

it('names every gate that does not hold', () => {
  const gates = { minAccuracy: 0.95, maxAccuracyLoss: 0.01 }
  expect(() => checkGates(gates, { accuracy: 0.94 }, { accuracy: 0.9 })).toThrow(/minAccuracy: .*maxAccuracyLoss: /)
})

it('does not let a measure that is no number pass', () => {
  const bad = { meanSquaredError: Number.NaN }
  expect(() => checkGates({ maxMeanSquaredError: 1 }, bad, bad)).toThrow(
    expect.objectContaining({ code: 'GATE_FAILED' }),
  )
})
