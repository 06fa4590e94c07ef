import { availableParallelism } from 'node:os'
import { codeOf, type Fallback, type FallbackOptions, type Placed, type TidewayError } from '@tideway/core'
import { AUTO, CPU, preferredProviders, providerOf, unavailable } from './provider.js'
import { selfTest } from './self-test.js'

/** In which order providers are tried for a job. */
export interface Order {
  readonly first: string
  readonly fallback: FallbackOptions | undefined
  /** From those that `auto` does not try, with the reason. */
  readonly skipped: readonly Fallback[]
}

export type Test = (provider: string) => Promise<string | undefined>

/** The reason against each provider, undefined for none. Self-tests take seconds, and GPUs seldom come or go: once a process. */
let tested: Promise<ReadonlyMap<string, string | undefined>> | undefined

async function testAll(providers: readonly string[], test: Test): Promise<ReadonlyMap<string, string | undefined>> {
  const found = new Map<string, string | undefined>()
  for (const provider of providers) found.set(provider, await test(provider))
  return found
}

/** `auto` is every provider that trains faster than the CPU, best first, and the CPU in the end. */
export async function orderOf(asked: string, fallback?: FallbackOptions, test?: Test): Promise<Order> {
  if (asked !== AUTO) return { first: asked, fallback, skipped: [] }
  const found = await (test === undefined
    ? (tested ??= testAll(preferredProviders(), selfTest))
    : testAll(preferredProviders(), test))
  const onFallback = (step: Fallback): void => fallback?.onFallback(step)
  const all = [...found.keys(), CPU]
  const skipped = [...found].flatMap(([from, reason], at): Fallback[] =>
    reason === undefined ? [] : [{ from, to: all[at + 1] ?? CPU, error: unavailable(providerOf(from), reason) }],
  )
  for (const step of skipped) onFallback(step)
  const [first = CPU, ...to] = all.filter((name) => found.get(name) === undefined)
  return { first, fallback: { to, onFallback }, skipped }
}

/** What a person should know of where a job was trained; nothing where it is the CPU and nobody wanted another. */
export function notesOn(
  { skipped }: Order,
  { provider, fallbacks }: Omit<Placed<unknown>, 'loaded'>,
  onCpu: readonly string[],
): string[] {
  const why = [...skipped, ...fallbacks].map(({ from, error }) => `${from}: ${reasonOf(error)}`)
  if (provider === CPU && why.length === 0) return []
  return [
    `trained on ONNX Runtime's ${provider}${why.length === 0 ? '' : `; not on ${why.join('; ')}`}`,
    ...(onCpu.length === 0 ? [] : [`operators that ran on the CPU all the same: ${onCpu.join(', ')}`]),
  ]
}

/** Without the list of what else there is. */
export function reasonOf(error: unknown): string {
  const isOurs = codeOf(error) === 'PROVIDER_UNAVAILABLE'
  const { reason } = isOurs ? ((error as TidewayError).data as { readonly reason?: string }) : {}
  return reason ?? (error instanceof Error ? error.message : String(error))
}

/** What a step's operators can share: those of a small one take microseconds. */
const MAX_THREADS = { small: 2, other: 8 } as const

/** Threads inside one operator, where nobody says how many. */
export const fittingThreads = (isSmall: boolean): number =>
  Math.min(availableParallelism(), MAX_THREADS[isSmall ? 'small' : 'other'])
