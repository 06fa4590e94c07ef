import type { Session } from '../contracts/runtime.js'
import type { Signature, Tensors } from '../contracts/tensor.js'
import { errors } from '../errors.js'
import { inputCheck } from './inputs.js'

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
export function guardSession(engine: SessionEngine): Session {
  return guard({ ...engine, answer: (outputs) => outputs })
}

/** An engine whose results are yet to be made into tensors: here and not in a promise of its own, which a small model feels. */
export interface ResultEngine<R> extends Pick<SessionEngine, 'signature' | 'release'> {
  readonly run: (inputs: Tensors) => Promise<R>
  readonly answer: (result: R) => Tensors
}

/** `guardSession` for an engine with results of its own. */
export function guard<R>({ signature, run, answer, release }: ResultEngine<R>): Session {
  const check = inputCheck(signature)
  let inFlight = 0
  let drained: (() => void) | undefined
  let disposal: Promise<void> | undefined
  return {
    signature,
    async run(inputs) {
      if (disposal !== undefined) throw errors.SESSION_DISPOSED({})
      check(inputs)
      inFlight += 1
      try {
        return answer(await run(inputs))
      } catch (cause) {
        throw errors.RUN_FAILED({ reason: firstLine(cause) }, cause)
      } finally {
        inFlight -= 1
        if (inFlight === 0) drained?.()
      }
    },
    dispose() {
      disposal ??= new Promise<void>((resolve) => {
        drained = resolve
        if (inFlight === 0) resolve()
      }).then(release)
      return disposal
    },
  }
}

/** Engines' messages may run over many lines (stack frames, graphs); the first one says what happened. */
export function firstLine(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause)
  return text.trim().split('\n', 1)[0]?.slice(0, 500) ?? ''
}
