import type { Tensors } from '@tideway/core'
import type { OnFinished } from '../../support/folder.js'
import type { GoldenModel } from '../models.js'

export interface Answered {
  readonly outputs: Tensors
  /** The provider that took the model; one with a plus runs on the processor what the other has no kernel for. */
  readonly provider: string
}

/** Answers a model's inputs; throws, with the reason, when the engine does not take the model. */
export type Answer = (model: GoldenModel) => Promise<Answered>

/** An engine that the golden set is run on. */
export interface GoldenEngine {
  readonly name: string
  readonly what: string
  /** Which arithmetic its tolerances are for. */
  readonly on: 'cpu' | 'gpu'
  /** Makes it ready; a text says why it is not here. */
  open(onFinished: OnFinished): Promise<Answer | string>
}
