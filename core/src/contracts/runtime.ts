import type { Signature, Tensors } from './tensor.js'

export interface RuntimeFlags {
  /** Model formats this runtime loads, as in `Variant.format`. */
  readonly formats: readonly string[]
  /** Execution providers usable on this machine, the preferred one first. */
  readonly providers: readonly string[]
  readonly precisions: readonly string[]
  /** Operators beyond the standard sets that it runs (`com.microsoft.MatMulNBits`); none when left out. */
  readonly operators?: readonly string[]
}

export interface LoadOptions {
  /** Threads inside one operator; the runtime's own default when left out. */
  readonly intraOpThreads?: number
  readonly provider?: string
}

/** Loads model bytes and runs them. */
export interface Runtime {
  readonly name: string
  readonly flags: RuntimeFlags
  /** Throws `MODEL_INVALID` for bytes that are no model, `PROVIDER_UNAVAILABLE` for a provider that is not there. */
  load(bytes: Uint8Array, options?: LoadOptions): Promise<Session>
}

/** A loaded model. `run` may be called concurrently; after `dispose` it throws `SESSION_DISPOSED`. */
export interface Session {
  readonly signature: Signature
  /** Throws `INPUT_INVALID` naming every input that is missing, unknown, or of a wrong type, shape or length. */
  run(inputs: Tensors): Promise<Tensors>
  /** Frees native memory once the runs in flight have ended. Calling it twice is harmless. */
  dispose(): Promise<void>
}
