import type { Value } from '../build/value.js'
import { nextName, type Ops, type StepInputs, type StepOutputs } from './optimizers/rule.js'

/** The state that an average of the weights is kept in. */
export const AVERAGE = 'average'

/** Adds a step's weights to their average, which is kept as Σ momentumᵏ w: two passes where the average takes three. */
export function averaged(ops: Ops, momentum: number, { name, state }: StepInputs, outputs: StepOutputs): StepOutputs {
  const next = ops.decayed(state[AVERAGE] as Value, momentum, outputs.parameter, nextName(name, AVERAGE))
  return { ...outputs, state: { ...outputs.state, [AVERAGE]: next } }
}

/**
 * What the state `average` is multiplied by to give the average of the weights after so many steps: 1 / Σ momentumᵏ.
 * Each step's weights count `momentum` times as much as the next one's, as in Keras's `use_ema`, but for the first
 * step's: those stand in Keras for all that came before, and here for themselves (Adam's correction for a start at 0).
 */
export const averageScale = (momentum: number, steps: number): number => (1 - momentum) / (1 - momentum ** steps)
