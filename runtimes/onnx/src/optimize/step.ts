import type { GraphBuilder } from '../build/graph-builder.js'
import type { Value } from '../build/value.js'
import { AVERAGE, averaged } from './average.js'
import { type AdamStep, type AdamWStep, adam } from './optimizers/adam.js'
import { type LionStep, lion } from './optimizers/lion.js'
import { type RmspropStep, rmsprop } from './optimizers/rmsprop.js'
import { Ops, type OptimizerRule, type StepInputs, type StepOutputs } from './optimizers/rule.js'
import { type SgdStep, sgd } from './optimizers/sgd.js'

export type OptimizerStep = (SgdStep | AdamStep | AdamWStep | RmspropStep | LionStep) & {
  /** Where an average of the weights is kept beside them (see `averageScale`): 0 or more, below 1. */
  readonly averageMomentum?: number
}

export interface StepOptions {
  /** A float32 scalar that gradients are still to be multiplied by (see `clipGradients`). */
  readonly scale?: Value | undefined
  /** How many batches' gradients each gradient is the sum of (see `accumulateGradients`); the step is that of their mean. */
  readonly summed?: number
  /** Takes what is computed in float64, where the step's own engine has none (see `inDouble`). */
  readonly scalars?: GraphBuilder | undefined
}

/** To write another optimizer, add its rule here and its walk to optimize.test.ts. */
const rules: { readonly [T in OptimizerStep['type']]: OptimizerRule<Extract<OptimizerStep, { readonly type: T }>> } = {
  sgd,
  adam,
  adamw: adam,
  rmsprop,
  lion,
}
const ruleOf = ({ type }: OptimizerStep): OptimizerRule<OptimizerStep> => rules[type] as OptimizerRule<OptimizerStep>

/** The state that an optimizer keeps per parameter, zero at first; the average of the weights is the last, where kept. */
export function stateNames(step: OptimizerStep): readonly string[] {
  const own = ruleOf(step).states(step)
  return step.averageMomentum === undefined ? own : [...own, AVERAGE]
}

/**
 * Adds one optimizer step for all parameters to a graph. `learningRate` is a float32 scalar, `stepNumber` an int64
 * scalar that counts the steps from 1.
 *
 * @example
 * const outputs = optimizerStep(g, { type: 'lion', beta1: 0.9, beta2: 0.99 }, rate, step, [
 *   { name: 'w', parameter: w, gradient: dw, state: { moment }, decays: true },
 * ])
 */
export function optimizerStep(
  g: GraphBuilder,
  step: OptimizerStep,
  learningRate: Value,
  stepNumber: Value,
  all: readonly StepInputs[],
  { scale, summed = 1, scalars }: StepOptions = {},
): StepOutputs[] {
  const ops = new Ops(g)
  const one = ruleOf(step).prepare(ops, step, { learningRate, stepNumber, scale, summed, apart: scalars })
  const { averageMomentum } = step
  return all.map((inputs) => {
    const outputs = one(inputs)
    return averageMomentum === undefined ? outputs : averaged(ops, averageMomentum, inputs, outputs)
  })
}
