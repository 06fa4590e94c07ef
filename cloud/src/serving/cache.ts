import type { CacheTotals, InferContext, ResolvedServingCache, Tensor, Tensors } from '@tideway/core'
import { codeOf } from '@tideway/core/serving'
import { LRUCache } from 'lru-cache'
import type { BatchedRun, RowRunner } from './batch.js'
import { bytesIn, requestKey } from './key.js'

interface Kept {
  readonly outputs: Tensors
  readonly rows: number
}

type Outcome = { readonly kept: Kept } | { readonly error: unknown }

/** Of an entry beside its values: key, names, shapes, objects. */
const ENTRY_BYTES = 500
/** What happened to one request and says nothing of others with the same inputs. */
const OWN_FAILURES: ReadonlySet<unknown> = new Set(['DEADLINE_EXCEEDED', 'CLIENT_GONE', 'SERVING_BUSY'])
/** Then the request is not over: it is asked again of a session that is there. */
const ASKED_AGAIN = 'SESSION_DISPOSED'

/**
 * Keeps answers by the digest of the version and the inputs, the least recently used giving way. Requests with the same inputs
 * that come while the first of them runs wait for it. Off unless configured: a model must answer the same inputs in the same
 * way. A switch of versions needs no care, since the digest is in the key.
 *
 * @example
 * const runner = new ResponseCache(config).around(batcher, version.manifestDigest)
 * const { outputs, cache } = await runner.run({ x }) // cache.result: 'hit' or 'miss'
 */
export class ResponseCache {
  readonly #kept: LRUCache<string, Kept>
  readonly #flights = new Map<string, Promise<Outcome>>()
  readonly #maxRequestBytes: number
  readonly #totals = { hits: 0, misses: 0, bypassed: 0 }

  constructor({ maxBytes, maxEntries, maxRequestBytes }: Omit<ResolvedServingCache, 'models'>) {
    this.#kept = new LRUCache({ max: maxEntries, maxSize: maxBytes, sizeCalculation: sizeOf })
    this.#maxRequestBytes = maxRequestBytes
  }

  get totals(): CacheTotals {
    return { ...this.#totals }
  }

  /** Bytes and number of the answers that are kept. */
  get size(): { readonly bytes: number; readonly entries: number } {
    return { bytes: this.#kept.calculatedSize, entries: this.#kept.size }
  }

  /** The same with answers kept. `keeps` false: every request is run, and counted as bypassed. */
  around(runner: RowRunner, manifestDigest: string, keeps = true): RowRunner {
    return {
      signature: runner.signature,
      maxBatchRows: runner.maxBatchRows,
      dispose: () => runner.dispose(),
      run: (inputs, context = {}) => {
        const isLookedUp = keeps && !context.noCache && bytesIn(inputs) <= this.#maxRequestBytes
        return isLookedUp
          ? this.#answer(runner, manifestDigest, inputs, context)
          : this.#bypass(runner, inputs, context)
      },
    }
  }

  async #answer(runner: RowRunner, digest: string, inputs: Tensors, context: InferContext): Promise<BatchedRun> {
    const began = performance.now()
    const key = requestKey(digest, inputs)
    const lookupMs = performance.now() - began
    for (;;) {
      const kept = this.#kept.get(key)
      const flight = this.#flights.get(key)
      if (kept) return this.#hit(kept, 0, lookupMs)
      if (flight === undefined) return this.#run(key, lookupMs, () => runner.run(inputs, context))
      const outcome = await flight
      if ('kept' in outcome) return this.#hit(outcome.kept, performance.now() - began - lookupMs, lookupMs)
      const code = codeOf(outcome.error)
      if (OWN_FAILURES.has(code)) continue
      if (code !== ASKED_AGAIN) this.#totals.hits++
      throw outcome.error
    }
  }

  /** Callers get copies: what one does to its answer is not seen by the next. */
  #hit({ outputs, rows }: Kept, waitedMs: number, lookupMs: number): BatchedRun {
    this.#totals.hits++
    const began = performance.now()
    const own = copied(outputs)
    const cache = { result: 'hit', ms: lookupMs + performance.now() - began } as const
    return { outputs: own, queueMs: waitedMs, runMs: 0, rows, batchRows: rows, leads: false, cache }
  }

  async #run(key: string, lookupMs: number, run: () => Promise<BatchedRun>): Promise<BatchedRun> {
    let settle: (outcome: Outcome) => void = () => undefined
    this.#flights.set(key, new Promise((resolve) => (settle = resolve)))
    try {
      const answer = await run()
      const began = performance.now()
      // A copy also because outputs are views of a whole batch's, which would be kept with them.
      const kept = { outputs: copied(answer.outputs), rows: answer.rows }
      this.#kept.set(key, kept)
      settle({ kept })
      this.#totals.misses++
      return { ...answer, cache: { result: 'miss', ms: lookupMs + performance.now() - began } }
    } catch (error) {
      settle({ error })
      if (codeOf(error) !== ASKED_AGAIN) this.#totals.misses++
      throw error
    } finally {
      // Before those who wait go on, which they do a turn later.
      this.#flights.delete(key)
    }
  }

  async #bypass(runner: RowRunner, inputs: Tensors, context: InferContext): Promise<BatchedRun> {
    try {
      const answer = await runner.run(inputs, context)
      this.#totals.bypassed++
      return { ...answer, cache: { result: 'bypass', ms: 0 } }
    } catch (error) {
      if (codeOf(error) !== ASKED_AGAIN) this.#totals.bypassed++
      throw error
    }
  }
}

function sizeOf({ outputs }: Kept): number {
  return ENTRY_BYTES + bytesIn(outputs)
}

function copied(tensors: Tensors): Tensors {
  const copies = Object.entries(tensors).map(
    ([name, { dtype, shape, data }]) => [name, { dtype, shape: [...shape], data: data.slice() } as Tensor] as const,
  )
  return Object.fromEntries(copies)
}
