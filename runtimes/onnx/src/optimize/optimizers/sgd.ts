import { decaying, nextName, type OptimizerRule, type StepOutputs } from './rule.js'

/**
 * Stochastic gradient descent with Polyak's momentum, as Keras's `SGD` (velocity = momentum · velocity - rate · gradient;
 * w += velocity), or Nesterov's (w += momentum · velocity - rate · gradient; Sutskever et al. 2013).
 */
export interface SgdStep {
  readonly type: 'sgd'
  readonly momentum: number
  readonly nesterov?: boolean
  readonly weightDecay?: number
}

/**
 * Nesterov's state is momentum · velocity, which a step needs twice, once from the step before and once from itself: five
 * passes, where the velocity itself would take six.
 */
export const sgd: OptimizerRule<SgdStep> = {
  states: ({ momentum, nesterov = false }) => (momentum === 0 ? [] : [nesterov ? 'lookahead' : 'velocity']),

  prepare(ops, { momentum, weightDecay = 0 }, scalars) {
    const { learningRate, scale, summed } = scalars
    const own = scale === undefined ? learningRate : ops.mul(learningRate, scale)
    const rate = summed === 1 ? own : ops.mul(own, ops.scalar(1 / summed))
    const decayed = decaying(ops, weightDecay, scalars)
    return (inputs): StepOutputs => {
      const { name, gradient, state } = inputs
      const from = decayed(inputs)
      const move = ops.mul(gradient, rate)
      const { velocity, lookahead } = state
      if (lookahead !== undefined) {
        const next = ops.mul(ops.sub(lookahead, move), ops.scalar(momentum), nextName(name, 'lookahead'))
        return { parameter: ops.add(from, ops.sub(next, move), nextName(name)), state: { lookahead: next } }
      }
      if (velocity === undefined) return { parameter: ops.sub(from, move, nextName(name)), state: {} }
      const next = ops.sub(ops.mul(velocity, ops.scalar(momentum)), move, nextName(name, 'velocity'))
      return { parameter: ops.add(from, next, nextName(name)), state: { velocity: next } }
    }
  },
}
