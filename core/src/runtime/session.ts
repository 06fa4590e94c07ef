import type { Session } from '../contracts/runtime.js'
import type { Signature, Tensors } from '../contracts/tensor.js'
import { errors } from '../errors.js'
import { checkInputs } from './inputs.js'

/** What an engine does for a session: it may be given inputs that fit the signature only, and no run after `release`. */
export interface SessionEngine {
  readonly signature: Signature
  readonly run: (inputs: Tensors) => Promise<Tensors>
  readonly release: () => Promise<void>
}

/**
 * Makes a `Session` of an engine's: checks inputs, answers what the engine throws as `RUN_FAILED`, and releases once
 * runs in flight have ended. For runtimes.
 *
 * @example
 * const session = guardSession({ signature, run: (inputs) => engine.run(inputs), release: () => engine.free() })
 */
export function guardSession({ signature, run, release }: SessionEngine): Session {
  const inFlight = new Set<Promise<unknown>>()
  let disposal: Promise<void> | undefined
  return {
    signature,
    async run(inputs) {
      if (disposal !== undefined) throw errors.SESSION_DISPOSED({})
      checkInputs(signature, inputs)
      const running = run(inputs)
      inFlight.add(running)
      try {
        return await running
      } catch (cause) {
        throw errors.RUN_FAILED({ reason: firstLine(cause) }, cause)
      } finally {
        inFlight.delete(running)
      }
    },
    dispose() {
      disposal ??= Promise.allSettled(inFlight).then(release)
      return disposal
    },
  }
}

/** Engines' messages may run over many lines (stack frames, graphs); the first one says what happened. */
export function firstLine(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause)
  return text.trim().split('\n', 1)[0]?.slice(0, 500) ?? ''
}
