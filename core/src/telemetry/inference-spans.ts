import type { InferTiming, RunInfo } from '../contracts/cloud.js'
import type { Span, SpanContext } from '../contracts/tracer.js'

/** When the steps of an inference request were done, on the clock of `performance.now()`. */
export interface InferTimes {
  readonly beganMs: number
  readonly decodedMs: number
  readonly ranMs: number
  readonly endedMs: number
}

/** Those whose trace is sampled, of the runs whose spans are not made yet. */
const together = new WeakMap<RunInfo, SpanContext[]>()

/**
 * Adds the spans `decode`, `queue`, `batch` with `infer` in it (or `cache`), and `encode` to the span of a request, afterwards: nothing is
 * carried through the queue. Requests of one run end in one turn of the event loop; their batches are made in the next, when
 * each can be linked to the requests that it was shared with.
 */
export function addInferenceSpans(span: Span, times: InferTimes, timing: InferTiming | undefined): void {
  span.child('decode', { startMs: times.beganMs }).end(times.decodedMs)
  span.child('encode', { startMs: times.ranMs }).end(times.endedMs)
  if (timing === undefined) return span.child('infer', { startMs: times.decodedMs }).end(times.ranMs)
  // A kept answer had no run.
  if (timing.cache?.result === 'hit') return span.child('cache', { startMs: times.decodedMs }).end(times.ranMs)
  const { run } = timing
  const startMs = times.decodedMs + timing.queueNs / 1e6
  span.child('queue', { startMs: times.decodedMs }).end(startMs)
  if (run === undefined || run.requests === 1) return addBatch(span, startMs, times.ranMs, timing, [])
  const sharing = together.get(run) ?? []
  together.set(run, sharing)
  sharing.push(span.context)
  setTimeout(() => {
    const others = sharing.filter((context) => context !== span.context)
    addBatch(span, startMs, times.ranMs, timing, others)
  })
}

function addBatch(span: Span, startMs: number, endMs: number, timing: InferTiming, links: readonly SpanContext[]) {
  const { runNs, batchSize, run } = timing
  const attributes = {
    'tideway.batch.rows': batchSize,
    ...(run && { 'tideway.batch.requests': run.requests, 'tideway.batch.closed': run.closed }),
  }
  const batch = span.child('batch', { startMs, attributes, links })
  batch.child('infer', { startMs }).end(startMs + runNs / 1e6)
  batch.end(endMs)
}
