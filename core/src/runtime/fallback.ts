import { codeOf } from '../errors/error.js'

/** Why a provider cannot take a model, in words; a runtime, which knows the other providers, makes its error of it. */
export class Unusable extends Error {
  override readonly name = 'Unusable'

  constructor(
    message: string,
    /** Whether the provider is here and lacks something for this model. */
    readonly ofModel: boolean,
    cause?: unknown,
  ) {
    super(message, { cause })
  }
}

/** A step from a provider that could not take a model to one that is tried instead. */
export interface Fallback {
  readonly from: string
  readonly to: string
  /** `PROVIDER_UNAVAILABLE` or `RUNTIME_UNAVAILABLE`, with the reason. */
  readonly error: Error
}

/** Where to go when a provider cannot take a model. There is no way to go on without being told. */
export interface FallbackOptions {
  /** Providers in the order in which they are tried. */
  readonly to: readonly string[]
  readonly onFallback: (fallback: Fallback) => void
}

/** What the first provider that took a model made of it, and how it came to that one. */
export interface Placed<T> {
  readonly loaded: T
  readonly provider: string
  /** The steps that led to this provider; none when it is the one that was asked for. */
  readonly fallbacks: readonly Fallback[]
}

/**
 * Loads a model on the provider that is asked for, or on the first of the fallback's that takes it. Throws what `load`
 * throws on the last of them, and at once what no other provider would mend. For runtimes.
 */
export async function loadOnFirst<T>(
  asked: string,
  fallback: FallbackOptions | undefined,
  load: (provider: string) => Promise<T>,
): Promise<Placed<T>> {
  const fallbacks: Fallback[] = []
  let from = asked
  for (const to of [...(fallback?.to ?? []), undefined]) {
    try {
      return { loaded: await load(from), provider: from, fallbacks }
    } catch (error) {
      if (to === undefined || fallback === undefined || !isOfProvider(error)) throw error
      const step: Fallback = { from, to, error }
      fallbacks.push(step)
      fallback.onFallback(step)
      from = to
    }
  }
  throw new TypeError('the order of providers is never empty')
}

/** Another provider may do better; a model that is none is none anywhere. */
function isOfProvider(error: unknown): error is Error {
  return ['PROVIDER_UNAVAILABLE', 'RUNTIME_UNAVAILABLE'].includes(codeOf(error) ?? '')
}
