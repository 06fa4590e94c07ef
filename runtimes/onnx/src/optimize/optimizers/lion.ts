import type { Value } from '../../build/value.js'
import { decaying, nextName, type OptimizerRule, scaled } from './rule.js'

/** Lion (Chen et al. 2023, arXiv:2302.06675, algorithm 2): the sign of an average of gradients. */
export interface LionStep {
  readonly type: 'lion'
  readonly beta1: number
  readonly beta2: number
  readonly weightDecay?: number
}

/** Anything times this is beyond any learning rate, but for numbers that are 0 to all intents. */
const HUGE = 1e30

/**
 * State is Σ β₂ᵏ g, the paper's m / (1 - β₂). The sign of β₁ m + (1 - β₁) g is that of c Σ + g with
 * c = β₁ (1 - β₂) / (1 - β₁), and the same for a sum of gradients as for their mean. The sign times the rate is a huge
 * multiple cut to the rate: ONNX Runtime's Sign takes six times as long as a multiplication, Clip as long as one.
 */
export const lion: OptimizerRule<LionStep> = {
  states: () => ['moment'],

  prepare(ops, { beta1, beta2, weightDecay = 0 }, scalars) {
    const decayed = decaying(ops, weightDecay, scalars)
    const { learningRate } = scalars
    const least = ops.op('Neg', [learningRate])
    const share = ops.scalar((beta1 * (1 - beta2)) / (1 - beta1))
    return (inputs) => {
      const { name } = inputs
      const before = inputs.state['moment'] as Value
      const gradient = scaled(ops, inputs.gradient, scalars)
      const direction = ops.add(ops.mul(before, share), gradient)
      const move = ops.op('Clip', [ops.mul(direction, ops.scalar(HUGE)), least, learningRate])
      const parameter = ops.sub(decayed(inputs), move, nextName(name))
      return { parameter, state: { moment: ops.decayed(before, beta2, gradient, nextName(name, 'moment')) } }
    }
  },
}
