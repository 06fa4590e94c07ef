import type { GraphBuilder } from '../../build/graph-builder.js'
import { floats, int64s, type Value } from '../../build/value.js'
import { errors } from '../../errors.js'
import { ELEMENT_TYPE } from '../../format/types.js'

export const invalid = (operator: string, reason: string): Error => errors.GRAPH_INVALID({ operator, reason })

/** Throws `GRAPH_INVALID` for shapes that cannot be equal. */
export function checkAlike(operator: string, prediction: Value, target: Value): void {
  const [a, b] = [prediction.shape, target.shape]
  const fits = (size: Value['shape'][number], other: Value['shape'][number] | undefined): boolean =>
    size === other || typeof size === 'string' || typeof other === 'string'
  if (a.length !== b.length || !a.every((size, axis) => fits(size, b[axis])))
    throw invalid(operator, `predictions are [${a.join(', ')}], targets [${b.join(', ')}]`)
  if (prediction.dtype !== target.dtype)
    throw invalid(operator, `predictions are ${prediction.dtype}, targets ${target.dtype}`)
}

/** Throws `GRAPH_INVALID` unless `classes` are int32 or int64 [batch] beside rows [batch, n]; returns n. */
export function checkClasses(operator: string, rows: Value, classes: Value): number {
  const count = rows.shape[1]
  if (rows.shape.length !== 2 || typeof count !== 'number' || classes.shape.length !== 1)
    throw invalid(operator, 'it takes rows [batch, n] of known n and classes [batch]')
  if (classes.dtype !== 'int32' && classes.dtype !== 'int64')
    throw invalid(operator, `classes are ${classes.dtype}, not int32 or int64`)
  return count
}

export const mean = (g: GraphBuilder, value: Value): Value => g.op('ReduceMean', [value], { keepdims: 0n })

export const scalar = (g: GraphBuilder, like: Value, value: number): Value => g.constant(floats(like.dtype, [value]))

/** 1 for true and 0 for false, in the type of `like`; gradients end here. */
export const numbers = (g: GraphBuilder, truth: Value, like: Value): Value =>
  g.op('Cast', [truth], { to: BigInt(ELEMENT_TYPE[like.dtype]) })

/** The sum of each row: [rows, n] to [rows]. */
export const rowSums = (g: GraphBuilder, value: Value): Value =>
  g.op('ReduceSum', [value, g.constant(int64s([1]))], { keepdims: 0n })
