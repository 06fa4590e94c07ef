import { codeOf, type EdgeLink } from '@tideway/core'
import { backoffMs, pause } from '../backoff.js'
import { errors } from '../errors.js'
import type { EdgeLimits } from '../options.js'
import type { Pace } from './pace.js'

/** Attempts at a chunk that arrives altered: a link may garble one, a store would garble all. */
const DIGEST_ATTEMPTS = 3

export interface FetchContext {
  readonly link: EdgeLink
  readonly limits: EdgeLimits
  readonly pace: Pace
  readonly signal: AbortSignal
  /** Verifies and keeps; throws `CHUNK_DIGEST_MISMATCH`. */
  readonly put: (sha256: string, bytes: Uint8Array) => Promise<void>
  readonly onBytes: (bytes: number) => void
}

export interface Wanted {
  readonly sha256: string
  readonly size: number
}

/**
 * Fetches chunks, as many at a time as the pace allows. After a failure nothing new is started, but what is under way
 * may arrive: its bytes are paid for. Throws `CHUNK_DIGEST_MISMATCH`, `CHUNK_NOT_FOUND`, `CHUNK_FETCH_FAILED`,
 * `EDGE_DISK_FULL`, `EDGE_DISK_READ_ONLY`, or the signal's reason.
 */
export async function fetchChunks(wanted: readonly Wanted[], context: FetchContext): Promise<void> {
  const queue = [...wanted]
  const running = new Set<Promise<void>>()
  let failure: { readonly error: unknown } | undefined
  while (running.size > 0 || (queue.length > 0 && failure === undefined)) {
    while (failure === undefined && queue.length > 0 && running.size < context.pace.window) {
      const next = queue.shift()
      if (next === undefined) break
      const task = fetchChunk(next, context)
        .catch((error: unknown) => {
          failure ??= { error }
        })
        .finally(() => running.delete(task))
      running.add(task)
    }
    await Promise.race(running)
  }
  if (failure !== undefined) throw failure.error
}

async function fetchChunk(wanted: Wanted, context: FetchContext): Promise<void> {
  const { limits, signal } = context
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted()
    try {
      const bytes = await receive(wanted, attempt, context)
      return await keep(wanted.sha256, bytes, context)
    } catch (error) {
      signal.throwIfAborted()
      // Bytes that arrived but could not be kept: fetching them again would not help.
      if (error instanceof NotKept) throw error.cause
      const code = codeOf(error)
      if (code === 'CHUNK_DIGEST_MISMATCH' && attempt >= Math.min(DIGEST_ATTEMPTS, limits.chunkAttempts)) throw error
      if (attempt >= limits.chunkAttempts) {
        if (code === 'CHUNK_NOT_FOUND' || code === 'CHUNK_DIGEST_MISMATCH') throw error
        throw errors.CHUNK_FETCH_FAILED({ sha256: wanted.sha256, attempts: attempt }, error)
      }
      await pause(backoffMs(attempt, limits.retryBaseMs, limits.retryMaxMs), signal)
    }
  }
}

class NotKept extends Error {}

async function keep(sha256: string, bytes: Uint8Array, context: FetchContext): Promise<void> {
  try {
    await context.put(sha256, bytes)
  } catch (cause) {
    if (codeOf(cause) === 'CHUNK_DIGEST_MISMATCH') throw cause
    throw new NotKept('', { cause })
  }
}

/** One attempt. The time-out holds even for a link that forgets its own. */
async function receive(wanted: Wanted, attempt: number, context: FetchContext): Promise<Uint8Array> {
  const { link, pace } = context
  const timeoutMs = pace.timeoutMs(wanted.size, attempt)
  const timeout = new AbortController()
  const timer = setTimeout(() => timeout.abort(errors.CHUNK_TIMEOUT({ sha256: wanted.sha256, timeoutMs })), timeoutMs)
  const signal = AbortSignal.any([context.signal, timeout.signal])
  const startedAt = performance.now()
  try {
    const bytes = await untilAborted(link.fetchChunk(wanted.sha256, { signal, timeoutMs }), signal)
    context.onBytes(bytes.byteLength)
    pace.arrived(bytes.byteLength, performance.now() - startedAt)
    return bytes
  } catch (error) {
    if (timeout.signal.aborted) pace.timedOut()
    throw error
  } finally {
    clearTimeout(timer)
  }
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
