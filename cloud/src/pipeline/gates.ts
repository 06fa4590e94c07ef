import type { Gates } from '@tideway/core'
import { cloudErrors } from '../errors.js'
import type { Evaluation } from './evaluate.js'

/** A difference of two shares that is exactly the bound must pass, whatever its last bit. */
const ROUNDING = 1e-9

/**
 * Holds what was measured against the gates; throws `GATE_FAILED` naming every gate that does not hold. `shipped` is
 * the variant devices get, `float` the model before quantization.
 */
export function checkGates(gates: Gates, float: Evaluation, shipped: Evaluation): void {
  const failures: string[] = []
  const check = (
    name: string,
    value: number | undefined,
    bound: number | undefined,
    holds: (v: number, b: number) => boolean,
  ) => {
    if (value === undefined || bound === undefined) return
    if (!(Number.isFinite(value) && holds(value, bound))) failures.push(`${name}: ${value.toFixed(4)} against ${bound}`)
  }
  const loss = both(float.accuracy, shipped.accuracy, (a, b) => a - b)
  const ratio = both(float.meanSquaredError, shipped.meanSquaredError, (a, b) => b / Math.max(a, Number.MIN_VALUE))
  const unexplained = both(float.explained, shipped.explained, (a, b) => a - b)
  check('minAccuracy', shipped.accuracy, gates.minAccuracy, (v, b) => v >= b - ROUNDING)
  check('maxAccuracyLoss', loss, gates.maxAccuracyLoss, (v, b) => v <= b + ROUNDING)
  check('maxMeanSquaredError', shipped.meanSquaredError, gates.maxMeanSquaredError, (v, b) => v <= b + ROUNDING)
  check('maxErrorRatio', ratio, gates.maxErrorRatio, (v, b) => v <= b + ROUNDING)
  check('maxExplainedLoss', unexplained, gates.maxExplainedLoss, (v, b) => v <= b + ROUNDING)
  if (failures.length > 0) throw cloudErrors.GATE_FAILED({ failures })
}

function both(a: number | undefined, b: number | undefined, of: (a: number, b: number) => number): number | undefined {
  return a === undefined || b === undefined ? undefined : of(a, b)
}
