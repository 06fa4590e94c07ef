import type { JobRecord, Jobs } from '@tideway/core'
import { type Listener, listen, optionsSchema } from '@tideway/server-http'
import { afterEach, describe, expect, it } from 'vitest'
import { createClient } from './client.js'

const closing: Listener[] = []
afterEach(async () => {
  for (const listener of closing.splice(0)) await listener.stop()
})

const record = (status: JobRecord['status'], step = 0): JobRecord => ({
  id: 'job-1',
  model: 'digits',
  status,
  spec: {},
  progress: { step },
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
})

/** Jobs of which only `watch` matters. */
function jobsThat(watch: Jobs['watch']): Jobs {
  const none = () => Promise.reject(new Error('not asked'))
  return { submit: none, update: none, jobs: none, job: () => Promise.resolve(record('running')), watch }
}

async function serve(jobs: Jobs, port = 0): Promise<Listener> {
  const listener = await listen({ jobs }, optionsSchema.parse({ port }))
  closing.push(listener)
  return listener
}

async function untilAborted(signal?: AbortSignal): Promise<void> {
  await new Promise((resolve) => signal?.addEventListener('abort', resolve))
}

describe('watching a job', () => {
  it('gives every record until the job ends, whatever its text holds', async () => {
    const failed = { ...record('failed'), error: { code: 'X', message: 'two\nlines: \u2028 and a colon' } }
    const { url } = await serve(
      jobsThat(async function* () {
        yield record('queued')
        yield record('running', 1)
        yield failed
      }),
    )
    const seen: JobRecord[] = []
    for await (const job of createClient({ url }).watchJob('job-1')) seen.push(job)
    expect(seen).toEqual([record('queued'), record('running', 1), failed])
  })

  it('reads events that arrive in pieces, among comments and other events', async () => {
    const text = [
      ': heartbeat\n\n',
      `event: job\ndata: ${JSON.stringify(record('running', 7))}\n\n`,
      'event: other\ndata: {}\n\n: heartbeat\r\n\r\n',
      `event: job\r\ndata:${JSON.stringify(record('finished', 8))}\r\n\r\n`,
    ].join('')
    const pieces = new TextEncoder().encode(text)
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < pieces.length; at += 5) controller.enqueue(pieces.subarray(at, at + 5))
        controller.close()
      },
    })
    const client = createClient({ url: 'http://127.0.0.1:1', fetch: () => Promise.resolve(new Response(body)) })
    const steps: unknown[] = []
    for await (const job of client.watchJob('job-1')) steps.push(job.progress?.step)
    expect(steps).toEqual([7, 8])
  })

  it('goes on after the cloud was restarted, without telling the same thing twice', async () => {
    const first = await serve(
      jobsThat(async function* (_, signal) {
        yield record('running', 1)
        await untilAborted(signal)
      }),
    )
    const steps: unknown[] = []
    for await (const job of createClient({ url: first.url }).watchJob('job-1')) {
      steps.push(job.progress?.step, job.status)
      if (job.progress?.step !== 1) continue
      await first.stop()
      await serve(
        jobsThat(async function* () {
          yield record('running', 1)
          yield record('finished', 2)
        }),
        Number(new URL(first.url).port),
      )
    }
    expect(steps).toEqual([1, 'running', 2, 'finished'])
  })

  it('gives up on a cloud that stays away', async () => {
    const gone = await serve(jobsThat(async function* () {}))
    await gone.stop()
    const watching = createClient({ url: gone.url }).watchJob('job-1', { giveUpMs: 100 })
    await expect(watching[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'CLOUD_UNREACHABLE' })
  })

  it('throws what the cloud says of a job that is not there', async () => {
    const { url } = await listen({}, optionsSchema.parse({ port: 0 })).then((listener) => {
      closing.push(listener)
      return listener
    })
    const watching = createClient({ url }).watchJob('job-1')[Symbol.asyncIterator]()
    await expect(watching.next()).rejects.toMatchObject({ code: 'ROLE_NOT_HERE' })
  })

  it('stops when its reader stops, and says so to the cloud', async () => {
    let ended = (): void => undefined
    const cleaned = new Promise<void>((resolve) => {
      ended = resolve
    })
    const { url } = await serve(
      jobsThat(async function* (_, signal) {
        try {
          yield record('running')
          await untilAborted(signal)
        } finally {
          ended()
        }
      }),
    )
    for await (const job of createClient({ url }).watchJob('job-1')) {
      expect(job.status).toBe('running')
      break
    }
    await cleaned
    const abort = new AbortController()
    const watching = createClient({ url }).watchJob('job-1', { signal: abort.signal })[Symbol.asyncIterator]()
    await watching.next()
    const next = watching.next()
    abort.abort(new Error('enough'))
    await expect(next).rejects.toThrow('enough')
  })
})
