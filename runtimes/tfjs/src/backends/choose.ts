import { errors as shared, Unusable } from '@tideway/core'
import { errors } from '../errors.js'
import type { Backend, Skipped, Started } from './backend.js'
import { BACKEND_NAMES, BACKENDS, backendNamed } from './table.js'

export interface Choice {
  /** The chosen one, as it is asked for. */
  readonly backend: string
  /** What TensorFlow.js calls it: for `onBackend`. */
  readonly engine: string
  /** Each that was wanted more, in that order, with the reason why it is not it. */
  readonly skipped: readonly Skipped[]
}

/** Of the process, as TensorFlow.js's backends are. What failed is tried again: a package may be installed meanwhile. */
const started = new Map<Backend, Promise<Started>>()

/** Starts a backend, once a process. Throws `Unusable`. */
export function startBackend(backend: Backend, threads?: number): Promise<Started> {
  const starting =
    started.get(backend) ??
    backend.start(threads).catch((cause: unknown) => {
      started.delete(backend)
      throw cause
    })
  started.set(backend, starting)
  return starting
}

/**
 * The first backend in the order of preference that is here and starts, and why each before it was skipped. One whose GPU
 * is computed on the CPU is taken when there is no other only. Throws `INPUT_REJECTED` for names that are none,
 * `TFJS_BACKENDS_UNAVAILABLE` when none of them starts. TensorFlow.js is not switched to it: see `onBackend`.
 *
 * @example
 * const { backend, engine, skipped } = await chooseBackend()
 * for (const { backend, reason, get } of skipped) console.warn(`${backend} is not used: ${reason}; get it: ${get}`)
 */
export async function chooseBackend(order: readonly string[] = BACKEND_NAMES, threads?: number): Promise<Choice> {
  const skipped: Skipped[] = []
  let slow: Choice | undefined
  for (const backend of backendsOf(order)) {
    const { name, engine, get } = backend
    try {
      const { software } = await startBackend(backend, threads)
      if (software === undefined) return { backend: name, engine, skipped }
      slow ??= { backend: name, engine, skipped: [...skipped] }
      skipped.push({ backend: name, reason: `${software} computes on the CPU, more slowly than the others do`, get })
    } catch (cause) {
      if (!(cause instanceof Unusable)) throw cause
      skipped.push({ backend: name, reason: cause.message, get })
    }
  }
  if (slow !== undefined) return slow
  throw errors.TFJS_BACKENDS_UNAVAILABLE({ skipped })
}

/** Throws `INPUT_REJECTED` naming every one that is none. */
export function backendsOf(order: readonly string[]): readonly Backend[] {
  const issues = order.flatMap((name, at) =>
    backendNamed(name) === undefined ? [`providers.${at}: ${name} is none of ${BACKEND_NAMES.join(', ')}`] : [],
  )
  if (order.length === 0) issues.push('providers: is empty')
  if (issues.length > 0) throw shared.INPUT_REJECTED({ what: 'the order of backends', issues })
  return order.flatMap((name) => BACKENDS.filter((backend) => backend.name === name))
}
