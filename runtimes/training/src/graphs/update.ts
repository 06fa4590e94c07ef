import type { ResolvedOptimizer } from '@tideway/core'
import { GraphBuilder, optimizerStep, writeModel } from '@tideway/onnx'
import { productPiece } from './factors.js'
import { FEED, SCALE, stateOf } from './names.js'

/** What the tensors of an update graph are called, whichever parameter they are of. */
export const UPDATED = 'parameter'
export const GRADIENT = 'gradient'

export interface UpdateOrder {
  readonly step: ResolvedOptimizer['step']
  readonly states: readonly string[]
  readonly decays: boolean
  /** Whether gradients are still to be multiplied by a scale (see `clipGradients`). */
  readonly scaled: boolean
  /** Batches that gradients are the sum of. */
  readonly summed: number
  /** Whether gradients come as two factors, whose product is then in no memory as a whole. */
  readonly factored: boolean
}

/**
 * The optimizer step alone, on any number of a parameter's elements: every optimizer changes an element by its own
 * gradient and state only, so that a parameter can be updated piece by piece.
 */
export function updateGraph({ step, states, decays, scaled, summed, factored }: UpdateOrder): Uint8Array {
  const g = new GraphBuilder('update')
  const piece = (name: string) => g.input(name, 'float32', [null])
  const inputs = {
    name: UPDATED,
    parameter: piece(UPDATED),
    gradient: factored ? productPiece(g) : piece(GRADIENT),
    state: Object.fromEntries(states.map((state) => [state, piece(stateOf(UPDATED, state))])),
    decays,
  }
  const rate = g.input(FEED.learningRate, 'float32', [])
  const number = g.input(FEED.step, 'int64', [])
  const scale = scaled ? g.input(SCALE, 'float32', []) : undefined
  for (const next of optimizerStep(g, step, rate, number, [inputs], { scale, summed })) {
    g.output(next.parameter.name, next.parameter)
    for (const state of Object.values(next.state)) g.output(state.name, state)
  }
  return writeModel(g.build())
}
