import type { RunStore } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { after, type Subject, unique } from './fixture.js'

/** The suite that every `RunStore` runs. */
export function runStoreContract(name: string, runs: Subject<RunStore>): void {
  const create = (experiment = unique('experiment')) =>
    runs().createRun({ id: unique('run'), experiment, name: 'a run' })
  const point = (key: string, value: number, step: number) => ({ key, value, step, at: after(step * 1000) })

  describe(`run store contract: ${name}`, () => {
    it('creates a running run with its experiment', async () => {
      const run = {
        id: unique('run'),
        experiment: `Experiment ${unique('x')}`,
        name: 'Größe 1',
        params: { rate: '0.001' },
        tags: { host: 'a' },
      }
      const created = await runs().createRun(run)
      expect(created).toEqual({ ...run, status: 'running', startedAt: expect.any(String), metrics: {} })
      expect(await runs().run(run.id)).toEqual(created)
    })

    it('is harmless when called again with the same id', async () => {
      const first = await create()
      await runs().updateRun(first.id, { status: 'finished', tags: { a: '1' } })
      const again = await runs().createRun({ id: first.id, experiment: first.experiment, name: 'another name' })
      expect(again).toEqual(await runs().run(first.id))
      expect(again).toMatchObject({ name: 'a run', status: 'finished', tags: { a: '1' } })
      expect(await runs().runs({ experiment: first.experiment })).toHaveLength(1)
    })

    it('merges tags and params', async () => {
      const { id } = await create()
      await runs().updateRun(id, { tags: { a: '1', b: '1' }, params: { rate: '0.1' } })
      const run = await runs().updateRun(id, { tags: { b: '2', __proto__x: '3' } })
      expect(run.tags).toEqual({ a: '1', b: '2', __proto__x: '3' })
      expect(run.params).toEqual({ rate: '0.1' })
      expect(await runs().updateRun(id, {})).toEqual(run)
    })

    it.each(['finished', 'failed', 'killed'] as const)('ends a run when it is %s, once', async (status) => {
      const { id } = await create()
      expect((await runs().updateRun(id, { status: 'scheduled' })).endedAt).toBeUndefined()
      const ended = await runs().updateRun(id, { status })
      expect(ended).toMatchObject({ status, endedAt: expect.any(String) })
      expect((await runs().updateRun(id, { status })).endedAt).toBe(ended.endedAt)
      expect(Object.keys(await runs().updateRun(id, { status: 'running' }))).not.toContain('endedAt')
    })

    it('keeps every point of a metric and shows the last one logged', async () => {
      const { id } = await create()
      const loss = [point('loss', 0.9, 1), point('loss', 0.5, 2)]
      await runs().logMetrics(id, [...loss, point('accuracy', 0.8, 1)])
      const late = point('loss', 0.7, 1)
      await runs().logMetrics(id, [late])
      await runs().logMetrics(id, [])
      expect((await runs().run(id)).metrics).toEqual({ loss: 0.7, accuracy: 0.8 })
      expect(await runs().metricHistory(id, 'loss')).toEqual([...loss, late])
      expect(await runs().metricHistory(id, 'no-such-metric')).toEqual([])
    })

    it('keeps values exactly, also those that JSON cannot write', async () => {
      const { id } = await create()
      const values = [0.1 + 0.2, 5e-324, -1.7976931348623157e308, Number.NaN, Infinity, -Infinity]
      await runs().logMetrics(
        id,
        values.map((value, step) => point('odd', value, step)),
      )
      const history = await runs().metricHistory(id, 'odd')
      expect(history.map((logged) => logged.value)).toEqual(values)
      expect((await runs().run(id)).metrics.odd).toBe(-Infinity)
    })

    it('shows the last point when several log at once', async () => {
      const { id } = await create()
      const batches = Array.from({ length: 12 }, (_, i) => [point('a', i, i), point('b', i, i)])
      await Promise.all(batches.map((batch) => runs().logMetrics(id, batch)))
      const { metrics } = await runs().run(id)
      for (const key of ['a', 'b']) {
        const history = await runs().metricHistory(id, key)
        expect(history).toHaveLength(12)
        expect(metrics[key]).toBe(history.at(-1)?.value)
      }
    })

    it('takes ten thousand points at once', async () => {
      const { id } = await create()
      await runs().logMetrics(
        id,
        Array.from({ length: 10_000 }, (_, step) => point('loss', 1 / (step + 1), step)),
      )
      expect(await runs().metricHistory(id, 'loss')).toHaveLength(10_000)
      expect((await runs().run(id)).metrics.loss).toBe(1 / 10_000)
    })

    it('lists runs newest first, of one experiment, at most so many', async () => {
      const experiment = unique('experiment')
      const ids: string[] = []
      for (let i = 0; i < 3; i++) ids.unshift((await create(experiment)).id)
      await runs().logMetrics(ids[1] as string, [point('loss', 0.25, 1)])
      const listed = await runs().runs({ experiment })
      expect(listed.map((run) => run.id)).toEqual(ids)
      expect(listed.map((run) => run.metrics)).toEqual([{}, { loss: 0.25 }, {}])
      expect((await runs().runs({ experiment, limit: 2 })).map((run) => run.id)).toEqual(ids.slice(0, 2))
      expect((await runs().runs({ limit: 1 })).map((run) => run.id)).toEqual(ids.slice(0, 1))
      expect(await runs().runs({ experiment: unique('experiment') })).toEqual([])
    })

    it('refuses everything about a run that is not there with RUN_NOT_FOUND', async () => {
      const id = unique('run')
      const asked = [
        () => runs().run(id),
        () => runs().updateRun(id, { status: 'finished' }),
        () => runs().updateRun(id, {}),
        () => runs().logMetrics(id, [point('loss', 1, 1)]),
        () => runs().metricHistory(id, 'loss'),
      ]
      for (const ask of asked) await expect(ask()).rejects.toMatchObject({ code: 'RUN_NOT_FOUND', data: { run: id } })
    })
  })
}
