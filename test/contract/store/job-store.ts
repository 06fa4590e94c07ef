import type { JobStore } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { type Subject, unique, uniqueDigest } from './fixture.js'

/** The suite that every `JobStore` runs. */
export function jobStoreContract(name: string, jobs: Subject<JobStore>): void {
  const create = () => jobs().create({ id: unique('job'), model: 'digits', spec: { epochs: 3, data: { url: 'x' } } })

  describe(`job store contract: ${name}`, () => {
    it('creates a queued job with its specification', async () => {
      const job = await create()
      expect(job).toEqual({
        id: job.id,
        model: 'digits',
        status: 'queued',
        spec: { epochs: 3, data: { url: 'x' } },
        createdAt: expect.any(String),
        updatedAt: job.createdAt,
      })
      expect(await jobs().job(job.id)).toEqual(job)
    })

    it('is harmless when created again with the same id', async () => {
      const { id } = await create()
      await jobs().update(id, { status: 'running', worker: 'node-1' })
      const again = await jobs().create({ id, model: 'other', spec: {} })
      expect(again).toMatchObject({ model: 'digits', status: 'running', worker: 'node-1' })
    })

    it('changes what is given and leaves the rest', async () => {
      const { id, spec } = await create()
      const checkpoint = { sha256: uniqueDigest(), epoch: 2 }
      await jobs().update(id, { status: 'running', worker: 'node-1', progress: { epoch: 1, loss: 0.5 } })
      await jobs().update(id, { checkpoint, progress: { epoch: 2 } })
      const job = await jobs().update(id, { worker: 'node-2', status: undefined })
      expect(job).toMatchObject({ status: 'running', worker: 'node-2', progress: { epoch: 2 }, checkpoint, spec })
      expect(job.updatedAt >= job.createdAt).toBe(true)
      expect(await jobs().job(id)).toEqual(job)
    })

    it.each([
      { status: 'finished' as const, result: { version: 3 } },
      { status: 'failed' as const, error: { code: 'GATE_FAILED', message: 'accuracy 0.9' } },
    ])('does not change a job any more once it has $status', async (end) => {
      const { id } = await create()
      const ended = await jobs().update(id, end)
      expect(ended).toMatchObject(end)
      const after = await jobs().update(id, { status: 'running', progress: { epoch: 9 }, worker: 'late' })
      expect(after).toEqual(ended)
      expect(await jobs().job(id)).toEqual(ended)
    })

    it('lets one of several ends win', async () => {
      const { id } = await create()
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, i) =>
          jobs().update(id, { status: i % 2 ? 'failed' : 'finished', worker: `w${i}` }),
        ),
      )
      expect(new Set(answers.map((job) => `${job.status} ${job.worker}`)).size).toBe(1)
    })

    it('lists jobs newest first, by status, at most so many', async () => {
      const made = [await create(), await create(), await create()].toReversed()
      await jobs().update(made[1]?.id ?? '', { status: 'running' })
      const ids = made.map((job) => job.id)
      const own = (list: { id: string }[]) => list.map((job) => job.id).filter((id) => ids.includes(id))
      expect(own(await jobs().jobs())).toEqual(ids)
      expect(own(await jobs().jobs({ status: 'queued' }))).toEqual([ids[0], ids[2]])
      expect(own(await jobs().jobs({ status: 'running' }))).toEqual([ids[1]])
      expect((await jobs().jobs({ limit: 2 })).map((job) => job.id)).toEqual(ids.slice(0, 2))
    })

    it('refuses a job that is not there with JOB_NOT_FOUND', async () => {
      const job = unique('job')
      const expected = { code: 'JOB_NOT_FOUND', data: { job } }
      await expect(jobs().job(job)).rejects.toMatchObject(expected)
      await expect(jobs().update(job, { status: 'running' })).rejects.toMatchObject(expected)
    })
  })
}
