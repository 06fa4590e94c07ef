import { EventEmitter } from 'node:events'
import { createHost, definePlugin, errors, type Host, type JobRecord, silentLogger, tokens } from '@tideway/core'
import { storePostgres } from '@tideway/store-postgres'
import { temporaryFolder } from '@tideway/test/support/folder'
import { putFreshStore } from '@tideway/test/support/fresh-store'
import { eventually } from '@tideway/test/support/process'
import { afterEach, describe, expect, it } from 'vitest'
import { jobs, watch } from './jobs.js'
import { localQueue } from './queue.js'

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

/** A cloud's jobs on a real store and the queue of one process; `seed` runs when the store is there, before the role. */
async function start(options: { quietMs?: number; seed?: (host: Host) => Promise<void> } = {}): Promise<Host> {
  const dir = await temporaryFolder((clean) => void stops.push(clean))
  await putFreshStore(dir)
  const host = createHost()
  host.provide(tokens.logger, () => silentLogger)
  const seed = definePlugin({ name: 'seed', register: () => ({ start: () => options.seed?.(host) }) })
  host.use(storePostgres({ dir }), localQueue(), seed(), jobs({ quietMs: options.quietMs }))
  await host.start()
  stops.push(() => host.stop())
  return host
}

/** A job and its run, as `submit` makes them. */
async function create(host: Host, id: string): Promise<void> {
  await host.get(tokens.runStore).createRun({ id, experiment: 'digits', name: `digits-${id}` })
  await host.get(tokens.jobStore).create({ id, model: 'digits', spec: {} })
}

describe('jobs that the store holds and the queue may have lost', () => {
  it('are queued at the start: every open one, those begun first, then the oldest first', async () => {
    const ids = Array.from({ length: 1_001 }, (_, i) => `job-${i}`)
    const host = await start({
      async seed(cloud) {
        const store = cloud.get(tokens.jobStore)
        for (const id of [...ids, 'begun', 'begun-later', 'ended'])
          await store.create({ id, model: 'digits', spec: {} })
        for (const id of ['begun', 'begun-later']) await store.update(id, { status: 'running', worker: 'gone' })
        await store.update('ended', { status: 'failed' })
      },
    })
    const taken: string[] = []
    await host.get(tokens.jobQueue).work(async ({ id }) => void taken.push(id))
    await eventually('all are taken', () => taken.length >= ids.length + 2, 60_000)
    expect(taken).toEqual(['begun', 'begun-later', ...ids])
  }, 120_000)

  it('are queued again after some time without word, until they have ended', async () => {
    const host = await start({ quietMs: 200 })
    await create(host, 'given-up')
    const delivered: string[] = []
    const times = (id: string) => delivered.filter((one) => one === id).length
    const ended = new Promise<JobRecord>((resolve, reject) => {
      // The queue is done with the job each time, as one that has given it up.
      const deliver = async ({ id }: { id: string }) => {
        delivered.push(id)
        if (id === 'given-up' && times(id) === 3)
          await host.get(tokens.jobs).update(id, { status: 'finished' }).then(resolve, reject)
      }
      host.get(tokens.jobQueue).work(deliver).catch(reject)
    })
    expect(await ended).toMatchObject({ status: 'finished' })

    // What was pushed before the end came is delivered before a job that was made after it.
    await create(host, 'later')
    await eventually('another is delivered', () => times('later') >= 1)
    const before = times('given-up')
    await eventually('the other is delivered again', () => times('later') >= 3)
    expect(times('given-up')).toBe(before)
  })
})

describe('words on a job that has ended', () => {
  const points = { stage: 'training', step: 1, metrics: { loss: 1 } }

  it('change neither the job nor its run', async () => {
    const host = await start()
    await create(host, 'done')
    await host.get(tokens.jobs).update('done', { status: 'finished', result: { version: 1 } })
    const [job, run] = [await host.get(tokens.jobs).job('done'), await host.get(tokens.runStore).run('done')]
    expect(run.status).toBe('finished')

    for (const change of [{ status: 'running', worker: 'late' }, { status: 'failed' }, { progress: points }])
      expect(await host.get(tokens.jobs).update('done', change)).toEqual(job)
    expect(await host.get(tokens.runStore).run('done')).toEqual(run)
    expect(await host.get(tokens.runStore).metricHistory('done', 'loss')).toEqual([])
  })

  it('are not told as changes', async () => {
    const host = await start()
    await create(host, 'raced')
    const store = host.get(tokens.jobStore)
    const seen: JobRecord['status'][] = []
    const leaving = new AbortController()
    const watching = (async () => {
      for await (const { status } of host.get(tokens.jobs).watch('raced', leaving.signal)) seen.push(status)
    })()
    await eventually('the first record', () => seen.length === 1)
    // Between this role's look at the job and its write another process ended it.
    const look = store.job.bind(store)
    store.job = async (id) => {
      const before = await look(id)
      store.job = look
      await store.update(id, { status: 'failed' })
      return before
    }
    await host.get(tokens.jobs).update('raced', { status: 'running' })
    expect(await host.get(tokens.runStore).run('raced')).toMatchObject({ status: 'failed' })
    leaving.abort()
    await watching
    expect(seen).toEqual(['queued'])
  })

  it('bring a run after its job that a killed cloud left behind', async () => {
    const host = await start()
    await create(host, 'behind')
    await host.get(tokens.jobStore).update('behind', { status: 'failed' })
    await host.get(tokens.jobs).update('behind', { status: 'failed' })
    expect(await host.get(tokens.runStore).run('behind')).toMatchObject({ status: 'failed' })
  })
})

describe('watching a job', () => {
  const record = (status: JobRecord['status']): JobRecord => {
    const at = new Date().toISOString()
    return { id: 'job', model: 'digits', status, spec: {}, createdAt: at, updatedAt: at }
  }
  const listeners = (events: EventEmitter) => events.eventNames().map((name) => events.listenerCount(name))
  const statuses = async (watched: AsyncIterable<JobRecord>) => {
    const seen: string[] = []
    for await (const { status } of watched) seen.push(status)
    return seen
  }

  it('leaves no listeners behind when it has ended, cannot be read, or ends', async () => {
    const events = new EventEmitter()
    expect(await statuses(watch(async () => record('finished'), events, 'job'))).toEqual(['finished'])
    expect(listeners(events)).toEqual([])

    const unread = watch(() => Promise.reject(errors.JOB_NOT_FOUND({ job: 'job' })), events, 'job')
    await expect(unread.next()).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' })
    expect(listeners(events)).toEqual([])

    const watched = watch(async () => record('running'), events, 'job')
    await watched.next()
    expect(events.listenerCount('job')).toBe(1)
    events.emit('job', record('failed'))
    expect(await statuses(watched)).toEqual(['failed'])
    expect(listeners(events)).toEqual([])
  })

  it('leaves none when the watcher goes, by its signal or by itself, or was gone from the start', async () => {
    const events = new EventEmitter()
    const read = async () => record('running')
    const going = new AbortController()
    const watched = watch(read, events, 'job', going.signal)
    await watched.next()
    going.abort()
    expect(await watched.next()).toMatchObject({ done: true })
    expect(listeners(events)).toEqual([])

    for await (const { status } of watch(read, events, 'job')) {
      expect(status).toBe('running')
      break
    }
    expect(listeners(events)).toEqual([])
    expect(await statuses(watch(read, events, 'job', going.signal))).toEqual([])
  })
})
