import type { ResolvedOptimizer } from '@tideway/core'
import { stateNames } from '@tideway/onnx'
import type { ParameterSpec, StatisticSpec, Trainable } from './trainable.js'

/** A tensor that goes in and out of a training step: one trained parameter, or several small ones end to end. */
export interface Slot {
  readonly name: string
  readonly shape: readonly number[]
  readonly members: readonly ParameterSpec[]
}

/** How everything that a step changes, or may change, lies in tensors. */
export interface Layout {
  readonly slots: readonly Slot[]
  /** Names of the optimizer's state; one tensor of each for every slot. */
  readonly states: readonly string[]
  readonly statistics: readonly StatisticSpec[]
}

/**
 * Parameters of fewer elements share one vector. An optimizer step is some ten operators a tensor, and ONNX Runtime
 * takes microseconds to start each, which is longer than a bias takes to update.
 */
const SMALL_ELEMENTS = 4096

export function layoutOf({ step }: Pick<ResolvedOptimizer, 'step'>, { parameters, statistics }: Trainable): Layout {
  const trained = parameters.filter(({ trainable }) => trainable)
  const small = trained.filter(({ shape }) => elements(shape) < SMALL_ELEMENTS)
  // Weight decay takes a whole tensor or leaves it alone.
  const groups = decaying(step) ? [small.filter((spec) => spec.decays), small.filter((spec) => !spec.decays)] : [small]
  const together = groups.filter((members) => members.length > 1)
  const inVectors = new Set(together.flat())
  const alone = trained.filter((spec) => !inVectors.has(spec))
  return {
    slots: [
      ...alone.map((spec) => ({ name: spec.name, shape: spec.shape, members: [spec] })),
      // A layer's name cannot be empty, so no parameter has this one.
      ...together.map((members, at) => ({
        name: `/small_${at + 1}`,
        shape: [members.reduce((sum, { shape }) => sum + elements(shape), 0)],
        members,
      })),
    ],
    states: stateNames(step),
    statistics,
  }
}

const decaying = (step: ResolvedOptimizer['step']): boolean => 'weightDecay' in step && step.weightDecay > 0

export const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1)
