/** Inputs of a training step beside the tensors that it carries on. */
export const FEED = { rows: 'rows', targets: 'targets', learningRate: 'learning_rate', step: 'step' } as const
export const LOSS = 'loss'
/** What gradients are still to be multiplied by, from a graph of gradients to that of the optimizer. */
export const SCALE = 'gradient_scale'
export const CORRECT = 'correct'
/** What an update takes in place of a gradient that is leftᵀ right, and the rows of it that are updated. */
export const FACTOR = { left: 'left', right: 'right', begin: 'begin', end: 'end' } as const

export type RowsType = 'float32' | 'uint8'

/** What a carried tensor is called once a step has changed it. */
export const nextOf = (name: string): string => `${name}_next`

/** The optimizer's state of a parameter; the parameter itself for no state. */
export const stateOf = (parameter: string, state: string): string =>
  state === '' ? parameter : `${parameter}_${state}`

/** A factor of a parameter's gradient, as a training graph gives it. */
export const factorOf = (parameter: string, side: 'left' | 'right'): string => `${parameter}_gradient_${side}`
