import type { Value } from '../../build/value.js'
import { decaying, nextName, type Ops, type OptimizerRule, type StepInputs, scaled } from './rule.js'

/** RMSprop as Keras's (Hinton 2012, lecture 6e; ε within the root; centred as Graves 2013, arXiv:1308.0850). */
export interface RmspropStep {
  readonly type: 'rmsprop'
  readonly rho: number
  readonly momentum: number
  readonly epsilon: number
  readonly centered: boolean
  readonly weightDecay?: number
}

interface Spread {
  /** What the root is taken of, less its ε. */
  readonly sum: Value
  readonly state: Readonly<Record<string, Value>>
}

/** Σ ρᵏ g², which is Keras's mean of squares / (1 - ρ). */
function squares(ops: Ops, { rho }: RmspropStep, { name, state }: StepInputs, gradient: Value): Spread {
  const term = ops.mul(gradient, gradient)
  const square = ops.decayed(state['square'] as Value, rho, term, nextName(name, 'square'))
  return { sum: square, state: { square } }
}

/**
 * The variance kept as itself / (ρ (1 - ρ)), by the gradient's distance d from the mean before: Σ ρᵏ d². It is the mean
 * of squares less the square of the mean, but cannot fall below 0 by rounding, and is two passes less.
 */
function variance(ops: Ops, { rho }: RmspropStep, { name, state }: StepInputs, gradient: Value): Spread {
  const before = state['mean'] as Value
  const distance = ops.sub(gradient, before)
  const mean = ops.add(before, ops.mul(distance, ops.scalar(1 - rho)), nextName(name, 'mean'))
  const square = ops.decayed(state['square'] as Value, rho, ops.mul(distance, distance), nextName(name, 'square'))
  return { sum: square, state: { square, mean } }
}

export const rmsprop: OptimizerRule<RmspropStep> = {
  states: ({ momentum, centered }) => [
    'square',
    ...(centered ? ['mean'] : []),
    ...(momentum === 0 ? [] : ['velocity']),
  ],

  prepare(ops, step, scalars) {
    const { rho, momentum, epsilon, centered, weightDecay = 0 } = step
    // For a sum of n gradients the root is n times as large, as is the gradient above it.
    const share = centered ? rho * (1 - rho) : 1 - rho
    const small = ops.scalar((epsilon * scalars.summed ** 2) / share)
    const rate = ops.mul(scalars.learningRate, ops.scalar(1 / Math.sqrt(share)))
    const decayed = decaying(ops, weightDecay, scalars)
    return (inputs) => {
      const { name } = inputs
      const gradient = scaled(ops, inputs.gradient, scalars)
      const { sum, state } = (centered ? variance : squares)(ops, step, inputs, gradient)
      const move = ops.mul(ops.div(gradient, ops.sqrt(ops.add(sum, small))), rate)
      const before = inputs.state['velocity']
      if (before === undefined) return { parameter: ops.sub(decayed(inputs), move, nextName(name)), state }
      const velocity = ops.decayed(before, momentum, move, nextName(name, 'velocity'))
      return { parameter: ops.sub(decayed(inputs), velocity, nextName(name)), state: { ...state, velocity } }
    }
  },
}
