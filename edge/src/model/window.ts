import { createProfileBuilder, type Logger, type Manifest, type Profile, type Tensors } from '@tideway/core'

/** What one active version has seen since the last seal. */
export interface Window {
  readonly isEmpty: boolean
  observe(inputs: Tensors, outputs: Tensors, latencyMs: number): void
  observeError(): void
  seal(): Profile
}

/** Undefined for a version without a profile schema. */
export function createWindow(schema: Manifest['profile'], logger: Logger): Window | undefined {
  if (schema === undefined) return undefined
  const builder = createProfileBuilder(schema)
  let from = new Date()
  return {
    get isEmpty() {
      return builder.rows === 0 && builder.errors === 0
    },
    observe(inputs, outputs, latencyMs) {
      try {
        builder.observe(inputs, outputs, latencyMs)
      } catch (error) {
        // The answer is right whether or not it could be summarised.
        logger.warn('an inference could not be profiled', { error: String(error) })
      }
    },
    observeError: () => builder.observeError(),
    seal() {
      const to = new Date()
      const profile = builder.seal(from, to)
      from = to
      return profile
    },
  }
}
