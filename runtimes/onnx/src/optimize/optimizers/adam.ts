import type { Value } from '../../build/value.js'
import { decaying, inDouble, nextName, type Ops, type OptimizerRule, type StepScalars, scaled } from './rule.js'

/** Adam (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1). */
export interface AdamStep {
  readonly type: 'adam'
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
}

/** Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2). */
export interface AdamWStep extends Omit<AdamStep, 'type'> {
  readonly type: 'adamw'
  readonly weightDecay: number
}

/**
 * State is Σ β₁ᵏ g and Σ β₂ᵏ g², which is the paper's m / (1 - β₁) and v / (1 - β₂): two multiplications a step less,
 * the constants go into the two scalars that the step needs anyway.
 */
export const adam: OptimizerRule<AdamStep | AdamWStep> = {
  states: () => ['moment', 'square'],

  prepare(ops, step, scalars) {
    const { beta1, beta2 } = step
    const { rate, epsilon } = inDouble(ops, scalars, (on, of) => adamScalars(on, step, of))
    const decayed = decaying(ops, step.type === 'adamw' ? step.weightDecay : 0, scalars)
    return (inputs) => {
      const { name, state } = inputs
      const gradient = scaled(ops, inputs.gradient, scalars)
      const moment = ops.decayed(state['moment'] as Value, beta1, gradient, nextName(name, 'moment'))
      const squared = ops.mul(gradient, gradient)
      const square = ops.decayed(state['square'] as Value, beta2, squared, nextName(name, 'square'))
      const move = ops.mul(ops.div(moment, ops.add(ops.sqrt(square), epsilon)), rate)
      return { parameter: ops.sub(decayed(inputs), move, nextName(name)), state: { moment, square } }
    }
  },
}

/**
 * With c₁ = 1 - β₁ᵗ, c₂ = 1 - β₂ᵗ and s = √(c₂ / (1 - β₂)): rate = lr (1 - β₁) s / c₁, epsilon = ε s; in float64, since
 * 1 - β₂ᵗ loses half of a float32 at first. A sum of n gradients is n times as long as their mean, and so is the ε that
 * makes the same step of it.
 */
function adamScalars(
  { sub, mul, div, sqrt, double, cast, op }: Ops,
  { beta1, beta2, epsilon }: AdamStep | AdamWStep,
  { learningRate, stepNumber, summed }: StepScalars,
): { readonly rate: Value; readonly epsilon: Value } {
  const t = cast(stepNumber, 'float64')
  const correction = (beta: number): Value => sub(double(1), op('Pow', [double(beta), t]))
  const s = sqrt(div(correction(beta2), double(1 - beta2)))
  const rate = div(mul(mul(cast(learningRate, 'float64'), double(1 - beta1)), s), correction(beta1))
  return { rate: cast(rate, 'float32'), epsilon: cast(mul(s, double(epsilon * summed)), 'float32') }
}
