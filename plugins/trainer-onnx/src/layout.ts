import type { TrainJob } from '@tideway/core'
import { stateNames } from '@tideway/onnx'
import { type ParameterSpec, parametersOf } from './network.js'
import { optimizerOf } from './optimizer.js'

/** A tensor that goes in and out of a training step: one parameter, or several small ones end to end. */
export interface Slot {
  readonly name: string
  readonly shape: readonly number[]
  readonly members: readonly ParameterSpec[]
}

/**
 * Parameters of fewer elements share one vector. An optimizer step is some ten operators a tensor, and ONNX Runtime
 * takes microseconds to start each, which is longer than a bias takes to update.
 */
const SMALL_ELEMENTS = 4096

/** How a network's parameters lie in the tensors of a training step. */
export function slotsOf(specs: readonly ParameterSpec[]): Slot[] {
  const small = specs.filter(({ shape }) => elements(shape) < SMALL_ELEMENTS)
  const alone = specs.filter((spec) => small.length < 2 || !small.includes(spec))
  const slots: Slot[] = alone.map((spec) => ({ name: spec.name, shape: spec.shape, members: [spec] }))
  if (small.length < 2) return slots
  // A layer's name cannot be empty, so no parameter has this one.
  return [
    ...slots,
    { name: '/small', shape: [small.reduce((sum, { shape }) => sum + elements(shape), 0)], members: small },
  ]
}

/** A job's slots, and the names of the optimizer's state for each. */
export function layoutOf(job: TrainJob): { readonly slots: readonly Slot[]; readonly states: readonly string[] } {
  return { slots: slotsOf(parametersOf(job.network)), states: stateNames(optimizerOf(job.optimizer)) }
}

export const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1)
