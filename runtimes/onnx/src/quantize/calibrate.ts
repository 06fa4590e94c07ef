import { type Signature, type Tensor, type Tensors, tensorIssues } from '@tideway/core'
import { errors } from '../errors.js'
import type { MayMiss } from './missing.js'

/**
 * Throws `CALIBRATION_INVALID` naming every input that is missing, unknown, or has no rows, another number of rows than
 * the first, a wrong type or shape, or values that are not finite, but for NaN where the model fills missing values.
 */
export function checkCalibration(signature: Signature, calibration: Tensors, mayMiss: MayMiss): void {
  const issues: string[] = []
  const counts = new Map<string, number>()
  for (const { name, dtype, shape } of signature.inputs) {
    const tensor = calibration[name]
    if (tensor === undefined) issues.push(`${name}: is missing`)
    else if (shape.length === 0) issues.push(`${name}: is a scalar, which has no rows`)
    else {
      const filled = (place: number) => shape.length === 2 && mayMiss(name, place)
      const wrong = tensorIssues(tensor, { dtype, shape: [null, ...shape.slice(1)] })
      issues.push(
        ...[...wrong, ...(wrong.length > 0 ? [] : valueIssues(tensor, shape[0] ?? 1, filled))].map(
          (w) => `${name}: ${w}`,
        ),
      )
      if (wrong.length === 0) counts.set(name, tensor.shape[0] ?? 0)
    }
  }
  const [first, ...others] = counts
  for (const [name, rows] of others) {
    if (rows !== first?.[1]) issues.push(`${name}: has ${rows} rows where ${first?.[0]} has ${first?.[1]}`)
  }
  const known = new Set(signature.inputs.map((spec) => spec.name))
  for (const name of Object.keys(calibration))
    if (!known.has(name)) issues.push(`${name}: is not an input of this model`)
  if (issues.length > 0) throw errors.CALIBRATION_INVALID({ issues })
}

function valueIssues({ data, shape }: Tensor, fewest: number, isFilled: (place: number) => boolean): string[] {
  const rows = shape[0] ?? 0
  if (rows === 0) return ['has no rows']
  if (rows < fewest) return [`has ${rows} rows; the model takes ${fewest} at once`]
  const width = data.length / rows
  const filled = new Map<number, boolean>()
  const isMissing = (value: number, place: number): boolean => {
    if (!Number.isNaN(value)) return false
    if (!filled.has(place)) filled.set(place, isFilled(place))
    return filled.get(place) === true
  }
  const bad = data.findIndex(
    (value: unknown, at: number) =>
      typeof value === 'number' && !Number.isFinite(value) && !isMissing(value, at % width),
  )
  return bad < 0 ? [] : [`row ${Math.floor(bad / width)} holds a value that is not finite`]
}
