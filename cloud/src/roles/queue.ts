import { definePlugin, idSchema, type JobQueue, narrow, type QueuedJob, tokens } from '@tideway/core'
import { z } from 'zod'

/** A job that failed for a passing reason is tried again after this, then after twice as long, up to a minute. */
const RETRY_MS = 250
const MAX_RETRY_MS = 60_000

const queuedJobSchema = z.object({ id: idSchema })

/** A job queue within this process; what it holds is found again in the job store at the next start. */
export function createLocalQueue(): JobQueue {
  const waiting: QueuedJob[] = []
  /** Queued, being worked on, or to be tried again. */
  const held = new Set<string>()
  const idle = new Set<() => void>()
  const attempts = new Map<string, number>()

  function enqueue(job: QueuedJob, place: 'first' | 'last'): void {
    if (place === 'first') waiting.unshift(job)
    else waiting.push(job)
    for (const wake of idle) wake()
  }

  function again(job: QueuedJob): void {
    const attempt = attempts.get(job.id) ?? 0
    attempts.set(job.id, attempt + 1)
    const timer = setTimeout(() => enqueue(job, 'last'), Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** attempt))
    timer.unref()
  }

  return {
    async push(raw) {
      const { id } = narrow(queuedJobSchema, raw, 'job')
      if (held.has(id)) return
      held.add(id)
      enqueue({ id }, 'last')
    },
    async work(handler) {
      const abort = new AbortController()
      const { signal } = abort
      let wake = () => {}
      const loop = (async () => {
        while (!signal.aborted) {
          const job = waiting.shift()
          if (!job) {
            await new Promise<void>((resolve) => {
              wake = resolve
              idle.add(wake)
            })
            idle.delete(wake)
            continue
          }
          try {
            await handler(job, signal)
            held.delete(job.id)
            attempts.delete(job.id)
          } catch {
            if (signal.aborted) enqueue(job, 'first')
            else again(job)
          }
        }
      })()
      return async () => {
        abort.abort()
        wake()
        await loop
      }
    },
  }
}

/** The queue for a cloud without NATS. */
export const localQueue = definePlugin({
  name: 'local-queue',
  provides: [tokens.jobQueue],
  register: (scope) => scope.provide(tokens.jobQueue, createLocalQueue),
})
