import { reduceAxes } from '../build/infer-reduce.js'
import type { Value } from '../build/value.js'
import { ELEMENT_TYPE } from '../format/types.js'
import type { GradientContext, GradientRule } from './context.js'

export type Rules = Readonly<Record<string, GradientRule>>

/** A rule for one input, computed only if it is needed. */
export const one =
  (rule: (c: GradientContext) => Value): GradientRule =>
  (c) => [c.needs(0) ? rule(c) : undefined]

/** A rule for two inputs that broadcast against each other. */
export const two =
  (left: (c: GradientContext) => Value, right: (c: GradientContext) => Value): GradientRule =>
  (c) => [
    c.needs(0) ? c.unbroadcast(left(c), c.in(0)) : undefined,
    c.needs(1) ? c.unbroadcast(right(c), c.in(1)) : undefined,
  ]

export const mul = (c: GradientContext, ...values: readonly [Value, ...Value[]]): Value =>
  values.reduce((product, value) => c.op('Mul', [product, value]))

export const times = (c: GradientContext, value: Value, factor: number): Value =>
  factor === 1 ? value : c.op('Mul', [value, c.scalar(factor)])

/** `yes` where the condition holds, else `no`; a number is a scalar of the node's type. */
export const choose = (c: GradientContext, condition: Value, yes: Value | number, no: Value | number): Value =>
  c.op('Where', [condition, ...[yes, no].map((side) => (typeof side === 'number' ? c.scalar(side) : side))])

export const castLike = (c: GradientContext, value: Value, like: Value): Value =>
  c.op('Cast', [value], { to: BigInt(ELEMENT_TYPE[like.dtype]) })

/** A reduction's output or its gradient with the reduced axes as ones, so that it broadcasts to the input. */
export function keepAxes(c: GradientContext, value: Value): Value {
  const axes = reduceAxes(c.info)
  const rank = c.in(0).shape.length
  const kept = c.info.int('keepdims', 1) === 1 || axes === undefined || axes.length === 0 || axes.length === rank
  return kept ? value : c.op('Unsqueeze', [value, c.int64s(axes)])
}

/** As many zeros as `like` has elements, in its shape. */
export const zerosLike = (c: GradientContext, like: Value): Value => c.op('Expand', [c.scalar(0), c.shapeOf(like)])
