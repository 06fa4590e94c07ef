import type { ReportedState, Tensors } from '@tideway/core'
import { errors } from '../errors.js'
import type { ActiveModel } from './active.js'
import { createLatencies } from './latencies.js'

export type Phase = ReportedState['models'][string]['status']

/** What is being done about the wanted version. */
export interface Progress {
  readonly phase: Phase
  readonly generation: number
  readonly error?: { readonly code: string; readonly message: string; readonly manifestDigest?: string }
}

/** One model on the device: what answers now, how the wanted version stands, and the counts since the start. */
export class ModelSlot {
  readonly name: string
  active: ActiveModel | undefined
  progress: Progress
  /** Bytes that arrived for the wanted version in this process. */
  bytesFetched = 0
  inferences = 0
  failures = 0
  readonly latencies = createLatencies()

  constructor(name: string, progress: Progress) {
    this.name = name
    this.progress = progress
  }

  /** Answers with whatever is active when the call comes. Throws `MODEL_NOT_ACTIVE`, `INPUT_INVALID`. */
  async infer(inputs: Tensors): Promise<Tensors> {
    const { active } = this
    if (active === undefined) throw errors.MODEL_NOT_ACTIVE({ model: this.name })
    try {
      // No await before `run`: a switch cannot dispose of the session between choosing it and using it.
      const { outputs, latencyMs } = await active.run(inputs)
      this.inferences += 1
      this.latencies.add(latencyMs)
      return outputs
    } catch (error) {
      this.failures += 1
      throw error
    }
  }

  /** From now on requests go to `next`; answers what they went to before, for the caller to drain and dispose of. */
  switchTo(next: ActiveModel | undefined): ActiveModel | undefined {
    const before = this.active
    this.active = next
    return before
  }
}
