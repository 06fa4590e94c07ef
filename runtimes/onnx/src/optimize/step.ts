import type { Tensor } from '@tideway/core'
import type { GraphBuilder } from '../build/graph-builder.js'
import { floats, type Value } from '../build/value.js'
import { ELEMENT_TYPE } from '../format/types.js'

/** Stochastic gradient descent with Polyak's momentum, as Keras's `SGD` (velocity = momentum · velocity - rate · gradient). */
export interface SgdStep {
  readonly type: 'sgd'
  readonly momentum: number
}

/** Adam (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1). */
export interface AdamStep {
  readonly type: 'adam'
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
}

export type OptimizerStep = SgdStep | AdamStep

/** Everything one parameter's step takes; `state` holds one value of the parameter's shape per name of `stateNames`. */
export interface StepInputs {
  readonly name: string
  readonly parameter: Value
  readonly gradient: Value
  readonly state: Readonly<Record<string, Value>>
}

/** The new parameter is `<name>_next`; the new state `<name>_<state>_next`: outputs of the nodes themselves, not copies. */
export interface StepOutputs {
  readonly parameter: Value
  readonly state: Readonly<Record<string, Value>>
}

/** The state that an optimizer keeps per parameter, zero at first. */
export function stateNames(step: OptimizerStep): readonly string[] {
  if (step.type === 'adam') return ['moment', 'square']
  return step.momentum === 0 ? [] : ['velocity']
}

/**
 * Adds one optimizer step for all parameters to a graph. `learningRate` is a float32 scalar, `stepNumber` an int64
 * scalar that counts from 1.
 *
 * Adam's state is Σ β₁ᵏ g and Σ β₂ᵏ g², which is the paper's m / (1 - β₁) and v / (1 - β₂): two multiplications a
 * step less, the constants go into the two scalars that the step needs anyway (computed in float64: 1 - β₂ᵗ loses half
 * of a float32 at first).
 */
export function optimizerStep(
  g: GraphBuilder,
  step: OptimizerStep,
  learningRate: Value,
  stepNumber: Value,
  all: readonly StepInputs[],
): StepOutputs[] {
  if (step.type === 'sgd') return all.map((inputs) => sgd(g, step, learningRate, inputs))
  const scalars = adamScalars(g, step, learningRate, stepNumber)
  return all.map((inputs) => adam(g, step, scalars, inputs))
}

function sgd(
  g: GraphBuilder,
  { momentum }: SgdStep,
  learningRate: Value,
  { name, parameter, gradient, state }: StepInputs,
): StepOutputs {
  const move = g.op('Mul', [gradient, learningRate])
  const velocity = state['velocity']
  if (velocity === undefined)
    return { parameter: g.op('Sub', [parameter, move], {}, { name: `${name}_next` }), state: {} }
  const kept = g.op('Mul', [velocity, g.constant(floats('float32', [momentum]))])
  const next = g.op('Sub', [kept, move], {}, { name: `${name}_velocity_next` })
  return { parameter: g.op('Add', [parameter, next], {}, { name: `${name}_next` }), state: { velocity: next } }
}

interface AdamScalars {
  readonly rate: Value
  readonly epsilon: Value
}

/** With c₁ = 1 - β₁ᵗ, c₂ = 1 - β₂ᵗ and s = √(c₂ / (1 - β₂)): rate = lr (1 - β₁) s / c₁, epsilon = ε s. */
function adamScalars(
  g: GraphBuilder,
  { beta1, beta2, epsilon }: AdamStep,
  learningRate: Value,
  stepNumber: Value,
): AdamScalars {
  const double = (value: number): Value => g.constant(floats('float64', [value]))
  const cast = (value: Value, to: Tensor['dtype']): Value => g.op('Cast', [value], { to: BigInt(ELEMENT_TYPE[to]) })
  const t = cast(stepNumber, 'float64')
  const correction = (beta: number): Value => g.op('Sub', [double(1), g.op('Pow', [double(beta), t])])
  const s = g.op('Sqrt', [g.op('Div', [correction(beta2), double(1 - beta2)])])
  const numerator = g.op('Mul', [g.op('Mul', [cast(learningRate, 'float64'), double(1 - beta1)]), s])
  const rate = g.op('Div', [numerator, correction(beta1)])
  return { rate: cast(rate, 'float32'), epsilon: cast(g.op('Mul', [s, double(epsilon)]), 'float32') }
}

function adam(g: GraphBuilder, { beta1, beta2 }: AdamStep, scalars: AdamScalars, inputs: StepInputs): StepOutputs {
  const { name, parameter, gradient } = inputs
  const decayed = (state: string, beta: number): Value =>
    g.op('Mul', [inputs.state[state] as Value, g.constant(floats('float32', [beta]))])
  const moment = g.op('Add', [decayed('moment', beta1), gradient], {}, { name: `${name}_moment_next` })
  const squared = g.op('Mul', [gradient, gradient])
  const square = g.op('Add', [decayed('square', beta2), squared], {}, { name: `${name}_square_next` })
  const scale = g.op('Add', [g.op('Sqrt', [square]), scalars.epsilon])
  const move = g.op('Mul', [g.op('Div', [moment, scale]), scalars.rate])
  return { parameter: g.op('Sub', [parameter, move], {}, { name: `${name}_next` }), state: { moment, square } }
}
