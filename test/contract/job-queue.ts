import type { JobQueue } from '@tideway/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../support/process.js'

/** A queue and its workers' ends; made anew for each test. */
export interface JobQueueSetup {
  /**
   * Another end of the same queue: a worker process of its own, or the same object where there is only one process. Its claims
   * last longer than a busy machine may keep it from renewing them, or, where asked for, `claimMs` alone.
   */
  open(claims?: 'short'): Promise<JobQueue>
  /** Lets an end vanish from the queue without a word, as a killed process does. Left out: workers cannot vanish here. */
  vanish?(queue: JobQueue): Promise<void>
  close(): Promise<void>
}

const TITLES = {
  once: 'gives each job to one worker',
  order: 'gives a worker one job at a time, the oldest first',
  later: 'keeps a job until a worker comes',
  again: 'keeps one of a job that is pushed twice while it is queued or being worked on',
  repushed: 'takes a job again after it is done',
  rejected: 'delivers a job again when its handler rejects',
  long: 'keeps a job that takes longer than its claim lasts with the worker that has it',
  stopped: 'hands a job on when its worker stops, whose signal fires',
  vanished: 'hands a job on when its worker vanishes',
  invalid: 'refuses a job without a proper id',
} as const

export type JobQueueTest = keyof typeof TITLES

export interface JobQueueSubject {
  /** `claimMs` is how long a silent worker with short claims keeps its job. */
  setup(): Promise<JobQueueSetup & { readonly claimMs: number }>
  readonly exceptions?: Readonly<Partial<Record<JobQueueTest, string>>>
}

/** The suite that every `JobQueue` runs. */
export function jobQueueContract(name: string, subject: JobQueueSubject): void {
  const test = (id: JobQueueTest, body: () => Promise<void>) => {
    const exception = subject.exceptions?.[id]
    if (exception === undefined) it(TITLES[id], body)
    else it.skip(`${TITLES[id]} (not here: ${exception})`, body)
  }

  describe(`job queue contract: ${name}`, () => {
    let setup: Awaited<ReturnType<JobQueueSubject['setup']>>
    beforeEach(async () => {
      setup = await subject.setup()
    })
    afterEach(() => setup.close())

    test('once', async () => {
      const [pusher, a, b] = [await setup.open(), await setup.open(), await setup.open()]
      const done: string[] = []
      for (const queue of [a, b])
        await queue.work(async (job) => {
          done.push(job.id)
        })
      const ids = Array.from({ length: 20 }, (_, index) => `job-${index}`)
      for (const id of ids) await pusher.push({ id })
      await eventually('all are done', () => done.length >= ids.length)
      expect(done.toSorted()).toEqual(ids.toSorted())
    })

    test('order', async () => {
      const queue = await setup.open()
      for (const id of ['first', 'second', 'third']) await queue.push({ id })
      const done: string[] = []
      let running = 0
      await queue.work(async (job) => {
        running += 1
        expect(running).toBe(1)
        await new Promise((resolve) => setImmediate(resolve))
        running -= 1
        done.push(job.id)
      })
      await eventually('all are done', () => done.length === 3)
      expect(done).toEqual(['first', 'second', 'third'])
    })

    test('later', async () => {
      await (await setup.open()).push({ id: 'early' })
      const done: string[] = []
      await (await setup.open()).work(async (job) => void done.push(job.id))
      await eventually('it is done', () => done.includes('early'))
    })

    test('again', async () => {
      const queue = await setup.open()
      const done: string[] = []
      await queue.push({ id: 'same' })
      await queue.push({ id: 'same' })
      await queue.work(async (job) => {
        if (job.id === 'same') await queue.push({ id: 'same' })
        done.push(job.id)
      })
      await queue.push({ id: 'last' })
      await eventually('the last is done', () => done.includes('last'))
      expect(done).toEqual(['same', 'last'])
    })

    test('repushed', async () => {
      const queue = await setup.open()
      let runs = 0
      await queue.work(async () => {
        runs += 1
      })
      await queue.push({ id: 'more' })
      await eventually('once', () => runs >= 1)
      await eventually('twice', async () => {
        await queue.push({ id: 'more' })
        return runs >= 2
      })
    })

    test('rejected', async () => {
      const queue = await setup.open()
      let attempts = 0
      await queue.work(async () => {
        attempts += 1
        if (attempts < 3) throw new Error('not yet')
      })
      await queue.push({ id: 'stubborn' })
      await eventually('the third attempt', () => attempts >= 3)
    })

    test('long', async () => {
      const [a, b] = [await setup.open('short'), await setup.open('short')]
      const starts: string[] = []
      let release = (): void => undefined
      const released = new Promise<void>((resolve) => {
        release = resolve
      })
      for (const [name, queue] of Object.entries({ a, b }))
        await queue.work(async (job) => {
          starts.push(`${name} ${job.id}`)
          if (job.id === 'long') await released
        })
      await a.push({ id: 'long' })
      await eventually('it started', () => starts.length === 1)
      const since = Date.now()
      // The other worker goes on meanwhile, for longer than a claim lasts.
      let other = 0
      await eventually('a claim would have ended', async () => {
        await a.push({ id: `other-${other++}` })
        return Date.now() - since > 2.5 * setup.claimMs
      })
      release()
      expect(starts.filter((start) => start.endsWith(' long'))).toHaveLength(1)
    })

    test('stopped', async () => {
      const [a, b] = [await setup.open(), await setup.open()]
      let fired = false
      let started = false
      const stop = await a.work(
        (_job, signal) =>
          new Promise((_resolve, reject) => {
            started = true
            signal.addEventListener('abort', () => {
              fired = true
              reject(new Error('stopped'))
            })
          }),
      )
      await a.push({ id: 'handed-on' })
      await eventually('it started', () => started)
      await stop()
      expect(fired).toBe(true)
      const done: string[] = []
      await b.work(async (job) => void done.push(job.id))
      await eventually('the other has it', () => done.includes('handed-on'))
    })

    test('vanished', async () => {
      if (!setup.vanish) throw new Error('name an exception for `vanished`')
      const [a, b] = [await setup.open('short'), await setup.open('short')]
      let started = false
      await a.work(async (_job, signal) => {
        started = true
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      })
      await a.push({ id: 'orphan' })
      await eventually('it started', () => started)
      await setup.vanish(a)
      const done: string[] = []
      await b.work(async (job) => void done.push(job.id))
      await eventually('the other has it', () => done.includes('orphan'))
    })

    test('invalid', async () => {
      const queue = await setup.open()
      await expect(queue.push({ id: 'not an id' })).rejects.toMatchObject({ code: 'INPUT_REJECTED' })
      await expect(queue.push({ id: 'a.b' })).rejects.toMatchObject({ code: 'INPUT_REJECTED' })
    })
  })
}
