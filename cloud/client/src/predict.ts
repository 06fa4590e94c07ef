import { codeOf, type InferAnswer, ordered, type Tensors, TidewayError } from '@tideway/core'
import type { Http } from './http.js'
import { type InferOptions, infer } from './infer.js'
import { pause } from './pause.js'

export interface PredictOptions extends InferOptions {
  /** Requests in flight, and so batches that are read ahead. Default 4. */
  readonly atOnce?: number
  /** For how long a batch is tried again while the cloud is busy or away, in milliseconds. Default 60,000. */
  readonly giveUpMs?: number
}

const AT_ONCE = 4
const GIVE_UP_MS = 60_000
const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 5_000
/** What another try may mend: a queue that was full, a cloud that starts again. */
const PASSING: ReadonlySet<unknown> = new Set(['SERVING_BUSY', 'CLOUD_UNREACHABLE', 'CLOUD_TIMEOUT'])

/**
 * Answers batches of rows in their order, several at a time: each is a request of its own with tensors in binary, since
 * browsers send no request that is not whole. No more is read than `atOnce` batches ahead of what was taken. Busy clouds are
 * asked again after their `Retry-After`. Without a version each batch is answered by what `latest` names then.
 *
 * @example
 * for await (const { outputs } of client.predict('digits', batches, { version: 3 })) save(outputs)
 */
export async function* predict(
  http: Http,
  model: string,
  batches: AsyncIterable<Tensors> | Iterable<Tensors>,
  options: PredictOptions,
): AsyncGenerator<InferAnswer> {
  const { atOnce = AT_ONCE } = options
  const left = new AbortController()
  const signal = options.signal ? AbortSignal.any([options.signal, left.signal]) : left.signal
  try {
    yield* ordered(batches, atOnce, (inputs) => patiently(http, model, inputs, { ...options, signal }))
  } finally {
    // Whoever breaks off waits for no more answers.
    left.abort()
  }
}

async function patiently(
  http: Http,
  model: string,
  inputs: Tensors,
  options: PredictOptions & { readonly signal: AbortSignal },
): Promise<InferAnswer> {
  const until = Date.now() + (options.giveUpMs ?? GIVE_UP_MS)
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)) {
    try {
      return await infer(http, model, inputs, options)
    } catch (error) {
      options.signal.throwIfAborted()
      if (!PASSING.has(codeOf(error)) || Date.now() + waitMs > until) throw error
      await pause(Math.max(waitMs, retryAfterOf(error)), options.signal)
    }
  }
}

function retryAfterOf(error: unknown): number {
  const { retryAfterMs } = error instanceof TidewayError ? error.data : {}
  return typeof retryAfterMs === 'number' ? Math.min(retryAfterMs, LONGEST_WAIT_MS) : 0
}
