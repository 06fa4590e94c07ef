import { pipelineDefaults } from '@tideway/core'
import { expect, it } from 'vitest'
import { checkGates } from './gates.js'

it('lets pass what holds, a bound included', () => {
  expect(() =>
    checkGates({ minAccuracy: 0.9, maxAccuracyLoss: 0.01 }, { accuracy: 0.91 }, { accuracy: 0.9 }),
  ).not.toThrow()
  expect(() => checkGates({ maxErrorRatio: 1.1 }, { meanSquaredError: 1 }, { meanSquaredError: 1.1 })).not.toThrow()
  expect(() => checkGates({ maxExplainedLoss: 0.01 }, { explained: 0.8 }, { explained: 0.79 })).not.toThrow()
})

it('weighs what int8 costs against what there is to explain, unless a ratio of errors is asked for', () => {
  const float = { meanSquaredError: 0.001, explained: 0.999 }
  const int8 = { meanSquaredError: 0.002, explained: 0.998 }
  expect(() => checkGates(pipelineDefaults.gates, float, int8)).not.toThrow()
  expect(() => checkGates({ maxErrorRatio: 1.5 }, float, int8)).toThrow(/maxErrorRatio: 2\.0000 against 1\.5/)
  const worse = { meanSquaredError: 0.02, explained: 0.98 }
  expect(() => checkGates(pipelineDefaults.gates, float, worse)).toThrow(/maxExplainedLoss: 0\.0190 against 0\.01/)
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
