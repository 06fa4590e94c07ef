import type { Tensor } from '@tideway/core'
import type { GraphBuilder } from '../../build/graph-builder.js'
import { floats, type Value } from '../../build/value.js'
import { ELEMENT_TYPE } from '../../format/types.js'

/** Everything one parameter's step takes; `state` holds one value of the parameter's shape per name of `stateNames`. */
export interface StepInputs {
  readonly name: string
  readonly parameter: Value
  readonly gradient: Value
  readonly state: Readonly<Record<string, Value>>
  /** Whether weight decay takes this parameter. */
  readonly decays: boolean
}

/** The new parameter is `<name>_next`; the new state `<name>_<state>_next`: outputs of the nodes themselves, not copies. */
export interface StepOutputs {
  readonly parameter: Value
  readonly state: Readonly<Record<string, Value>>
}

/** What all parameters of a step have in common: float32 and int64 scalars of the graph. */
export interface StepScalars {
  readonly learningRate: Value
  /** Counts from 1. */
  readonly stepNumber: Value
  /** What gradients are still to be multiplied by; undefined for 1. */
  readonly scale: Value | undefined
  /** How many batches' gradients the gradient is the sum of. */
  readonly summed: number
  readonly apart?: GraphBuilder | undefined
}

/**
 * An optimizer. Every operator on a tensor is a pass over it, some 20 µs for 100,000 numbers, so a rule is written for
 * the fewest: constants go into the scalars of the step, and state is kept as plain decayed sums.
 */
export interface OptimizerRule<Step> {
  /** The state that is kept per parameter, zero at first. */
  states(step: Step): readonly string[]
  /** Adds what is computed once for all parameters, and returns what adds one parameter's step. */
  prepare(ops: Ops, step: Step, scalars: StepScalars): (inputs: StepInputs) => StepOutputs
}

/** Short words for what rules are made of. */
export class Ops {
  constructor(readonly g: GraphBuilder) {}

  add = (a: Value, b: Value, name?: string): Value => this.op('Add', [a, b], name)
  sub = (a: Value, b: Value, name?: string): Value => this.op('Sub', [a, b], name)
  mul = (a: Value, b: Value, name?: string): Value => this.op('Mul', [a, b], name)
  div = (a: Value, b: Value, name?: string): Value => this.op('Div', [a, b], name)
  sqrt = (a: Value): Value => this.op('Sqrt', [a])

  scalar = (value: number): Value => this.g.constant(floats('float32', [value]))
  double = (value: number): Value => this.g.constant(floats('float64', [value]))
  cast = (value: Value, to: Tensor['dtype']): Value => this.g.op('Cast', [value], { to: BigInt(ELEMENT_TYPE[to]) })

  /** decay · sum + term. */
  decayed = (sum: Value, decay: number, term: Value, name: string): Value =>
    this.add(this.mul(sum, this.scalar(decay)), term, name)

  op = (opType: string, inputs: readonly Value[], name?: string): Value =>
    this.g.op(opType, inputs, {}, name === undefined ? {} : { name })
}

/** A parameter's gradient times the scale that is left: a pass, which SGD saves by scaling its rate. */
export const scaled = ({ mul }: Ops, gradient: Value, { scale }: StepScalars): Value =>
  scale === undefined ? gradient : mul(gradient, scale)

export const nextName = (name: string, state?: string): string =>
  `${name}${state === undefined ? '' : `_${state}`}_next`

/** What a decaying parameter is multiplied by: 1 - learning rate · decay (Loshchilov and Hutter 2019, as Keras's). */
export function decaying(ops: Ops, weightDecay: number, { learningRate }: StepScalars): (inputs: StepInputs) => Value {
  if (weightDecay === 0) return ({ parameter }) => parameter
  const factor = ops.sub(ops.scalar(1), ops.mul(learningRate, ops.scalar(weightDecay)))
  return ({ parameter, decays }) => (decays ? ops.mul(parameter, factor) : parameter)
}

/**
 * Scalars that need float64: in the graph of the step, or in the one apart, from inputs of the same names. That one is run
 * before the step, whose inputs its outputs are.
 */
export function inDouble<Name extends string>(
  ops: Ops,
  scalars: StepScalars,
  compute: (ops: Ops, scalars: StepScalars) => Readonly<Record<Name, Value>>,
): Readonly<Record<Name, Value>> {
  const { apart, learningRate, stepNumber } = scalars
  if (apart === undefined) return compute(ops, scalars)
  const own = ({ name, dtype }: Value): Value => apart.value(name) ?? apart.input(name, dtype, [])
  const made = compute(new Ops(apart), { ...scalars, learningRate: own(learningRate), stepNumber: own(stepNumber) })
  const given = Object.entries<Value>(made).map(([name, value]) => {
    apart.output(`scalar_${name}`, value)
    return [name, ops.g.input(`scalar_${name}`, value.dtype, [])]
  })
  return Object.fromEntries(given) as Record<Name, Value>
}
