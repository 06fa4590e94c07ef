import { codeOf, type JobRecord, type Logger } from '@tideway/core'
import type { Context } from 'hono'
import { streamSSE } from 'hono/streaming'

/**
 * A stream of events that ends with the job, when the reader goes or the server stops. A comment every `heartbeatMs`
 * keeps proxies from closing it, and finds out about readers that went without a word.
 */
export function jobEvents(
  c: Context,
  watch: (signal: AbortSignal) => AsyncIterable<JobRecord>,
  { heartbeatMs, stopping, logger }: { heartbeatMs: number; stopping: AbortSignal; logger?: Logger },
): Response {
  return streamSSE(c, async (stream) => {
    const gone = new AbortController()
    stream.onAbort(() => gone.abort())
    const heartbeat = setInterval(() => void stream.write(': heartbeat\n\n'), heartbeatMs)
    const signal = AbortSignal.any([gone.signal, stopping])
    try {
      for await (const job of watch(signal)) await stream.writeSSE({ event: 'job', data: JSON.stringify(job) })
    } catch (error) {
      if (signal.aborted) return
      logger?.error('a stream of job events failed', { cause: String(error) })
      await stream.writeSSE({ event: 'failure', data: JSON.stringify({ code: codeOf(error) ?? 'INTERNAL' }) })
    } finally {
      clearInterval(heartbeat)
    }
  })
}
