import type { GraphBuilder } from '../../build/graph-builder.js'
import type { Value } from '../../build/value.js'
import { checkAlike, mean, scalar } from './common.js'

/** The mean over all elements of (prediction - target)², the shapes being equal. */
export function meanSquaredError(g: GraphBuilder, prediction: Value, target: Value): Value {
  checkAlike('meanSquaredError', prediction, target)
  const difference = g.op('Sub', [prediction, target])
  return mean(g, g.op('Mul', [difference, difference]))
}

/** The mean over all elements of |prediction - target|; its slope where they are equal is 0. */
export function meanAbsoluteError(g: GraphBuilder, prediction: Value, target: Value): Value {
  checkAlike('meanAbsoluteError', prediction, target)
  return mean(g, g.op('Abs', [g.op('Sub', [prediction, target])]))
}

/**
 * The mean over all elements of d² / 2 up to |d| = delta, and delta (|d| - delta / 2) beyond (Huber 1964; as Keras's).
 * Written as c (|d| - c / 2) with c = min(|d|, delta): nothing is squared that is larger than delta.
 */
export function huber(g: GraphBuilder, prediction: Value, target: Value, delta = 1): Value {
  checkAlike('huber', prediction, target)
  const distance = g.op('Abs', [g.op('Sub', [prediction, target])])
  const least = g.op('Min', [distance, scalar(g, distance, delta)])
  const half = g.op('Mul', [least, scalar(g, distance, 0.5)])
  return mean(g, g.op('Mul', [least, g.op('Sub', [distance, half])]))
}
