import type { TrainJob } from '@tideway/core'
import { stateNames } from '@tideway/onnx'
import { optimizerOf } from './optimizer.js'
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

export function layoutOf(job: Pick<TrainJob, 'optimizer'>, { parameters, statistics }: Trainable): Layout {
  const trained = parameters.filter(({ trainable }) => trainable)
  const small = trained.filter(({ shape }) => elements(shape) < SMALL_ELEMENTS)
  // Weight decay takes a whole tensor or leaves it alone.
  const groups = decaying(job) ? [small.filter((spec) => spec.decays), small.filter((spec) => !spec.decays)] : [small]
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
    states: stateNames(optimizerOf(job.optimizer)),
    statistics,
  }
}

const decaying = ({ optimizer }: Pick<TrainJob, 'optimizer'>): boolean => 'weightDecay' in optimizer

export const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1)
