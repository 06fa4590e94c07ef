import { errors } from '../errors.js'
import type { Dim } from './value.js'

/** An axis counted from the front; throws `GRAPH_INVALID` when the tensor has no such axis. */
export function axisOf(operator: string, axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis
  if (positive < 0 || positive >= rank) {
    throw errors.GRAPH_INVALID({ operator, reason: `axis ${axis} of a tensor of rank ${rank}` })
  }
  return positive
}

/**
 * Numpy's broadcasting (ONNX "multidirectional"). A size known only at run time, against another such size, gives one
 * that `fresh` names.
 */
export function broadcast(operator: string, a: readonly Dim[], b: readonly Dim[], fresh: () => string): Dim[] {
  const rank = Math.max(a.length, b.length)
  const shape: Dim[] = []
  for (let axis = 0; axis < rank; axis++) {
    const left = a[axis - (rank - a.length)] ?? 1
    const right = b[axis - (rank - b.length)] ?? 1
    shape.push(broadcastDim(operator, left, right, fresh))
  }
  return shape
}

function broadcastDim(operator: string, left: Dim, right: Dim, fresh: () => string): Dim {
  if (left === right || right === 1) return left
  if (left === 1) return right
  if (typeof left === 'string' && typeof right === 'string') return fresh()
  if (typeof left === 'string') return right
  if (typeof right === 'string') return left
  throw errors.GRAPH_INVALID({ operator, reason: `sizes ${left} and ${right} do not broadcast` })
}

/** The shape after reducing `axes`. */
export function reduced(shape: readonly Dim[], axes: readonly number[], keepDims: boolean): Dim[] {
  const gone = new Set(axes)
  if (keepDims) return shape.map((size, axis) => (gone.has(axis) ? 1 : size))
  return shape.filter((_, axis) => !gone.has(axis))
}

export const show = (shape: readonly Dim[]): string => `[${shape.join(', ')}]`
