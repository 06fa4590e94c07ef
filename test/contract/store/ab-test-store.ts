import type { AbTestRecord, AbTestStore, Registry } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { type Subject, unique, uniqueDigest } from './fixture.js'

/** The suite that every `AbTestStore` runs; models are registered with `registry`. */
export function abTestStoreContract(
  name: string,
  store: Subject<AbTestStore>,
  { registry }: { readonly registry: Subject<Registry> },
): void {
  async function aTest(given?: string): Promise<AbTestRecord> {
    const model = given ?? unique('model')
    await registry().register({ model, manifestDigest: uniqueDigest() })
    return store().create(entryOf(model))
  }
  const entryOf = (model: string) => ({
    id: unique('ab'),
    model,
    control: 1,
    treatment: 2,
    metric: { kind: 'binary' as const, baseline: 0.1 },
    better: 'higher' as const,
    leastEffect: 0.05,
    alpha: 0.05,
    beta: 0.2,
    split: 0.5,
    maxUnits: 1000,
    salt: 'salt',
    actor: 'someone',
  })

  describe(`A/B test store contract: ${name}`, () => {
    it('keeps tests as they were declared, a model’s newest first', async () => {
      const first = await aTest()
      const entry = entryOf(first.model)
      expect(first).toEqual({
        ...entry,
        id: first.id,
        status: 'running',
        startedAt: expect.stringMatching(/^\d{4}-.*Z$/),
      })
      await store().end(first.id, 'stopped')
      const second = await aTest(first.model)
      expect(await store().newest(first.model)).toEqual(second)
      expect((await store().tests(first.model)).map(({ id }) => id)).toEqual([second.id, first.id])
    })

    it('lets one test run for a model at a time, also of many that start at once', async () => {
      const { model, id } = await aTest()
      await expect(store().create(entryOf(model))).rejects.toMatchObject({
        code: 'AB_TEST_RUNNING',
        data: { test: id },
      })
      await store().end(id, 'stopped')
      const started = await Promise.allSettled(Array.from({ length: 6 }, () => store().create(entryOf(model))))
      expect(started.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    })

    it('ends a test once', async () => {
      const { id } = await aTest()
      const ended = await store().end(id, 'promoted')
      expect(ended).toMatchObject({ status: 'promoted', endedAt: expect.any(String) })
      expect(await store().end(id, 'stopped')).toEqual(ended)
      await expect(store().report(id, [])).rejects.toMatchObject({ code: 'AB_TEST_ENDED' })
    })

    it('takes one outcome of each unit that was answered, and says what it did not take', async () => {
      const { id } = await aTest()
      await store().expose(id, ['a', 'b', 'c', 'a'])
      await store().expose(id, ['b'])
      expect(await store().counts(id)).toEqual({ exposed: 3, unknown: 0 })
      const batch = [
        { id: 'a', value: 1 },
        { id: 'x', value: 0 },
        { id: 'a', value: 1 },
        { id: 'b', value: 0.5 },
      ]
      expect(await store().report(id, batch)).toEqual({ accepted: 2, repeated: 1, conflicting: [], unknown: ['x'] })
      const again = await store().report(id, [
        { id: 'b', value: 0.7 },
        { id: 'a', value: 1 },
      ])
      expect(again).toEqual({ accepted: 0, repeated: 1, conflicting: ['b'], unknown: [] })
      await store().expose(id, ['x'])
      expect(await store().report(id, [{ id: 'x', value: 0 }])).toMatchObject({ accepted: 1, unknown: [] })
      expect(await store().outcomes(id)).toEqual([
        { id: 'a', value: 1, order: 1 },
        { id: 'b', value: 0.5, order: 2 },
        { id: 'x', value: 0, order: 3 },
      ])
      expect(await store().counts(id)).toEqual({ exposed: 4, unknown: 1 })
    })

    it('keeps the units of two tests apart', async () => {
      const [one, other] = [await aTest(), await aTest()]
      await store().expose(one.id, ['a'])
      expect(await store().report(other.id, [{ id: 'a', value: 1 }])).toMatchObject({ unknown: ['a'] })
      expect(await store().outcomes(one.id)).toEqual([])
    })

    it('stores outcomes that come at once in an order without gaps, each readable when a later one is', async () => {
      const { id } = await aTest()
      const units = Array.from({ length: 60 }, (_, at) => `unit-${at}`)
      await store().expose(id, units)
      const read: number[] = []
      let isDone = false
      const reader = (async () => {
        for (;;) {
          const last = isDone
          for (const { order } of await store().outcomes(id, read.at(-1), 7)) read.push(order)
          if (last && read.length >= units.length) return
        }
      })()
      await Promise.all(units.map((unit, at) => store().report(id, [{ id: unit, value: at }])))
      isDone = true
      await reader
      expect(read).toEqual(units.map((_, at) => at + 1))
    })

    it('takes ten thousand units in one call', async () => {
      const { id } = await aTest()
      const units = Array.from({ length: 10_000 }, (_, at) => `unit-${at}`)
      await store().expose(id, units)
      const receipt = await store().report(
        id,
        units.map((unit, at) => ({ id: unit, value: at / 7 })),
      )
      expect(receipt.accepted).toBe(10_000)
      expect(await store().outcomes(id, 9_999)).toEqual([{ id: 'unit-9999', value: 9_999 / 7, order: 10_000 }])
    })

    it('knows no test of a model that has none', async () => {
      const model = unique('model')
      await expect(store().newest(model)).rejects.toMatchObject({ code: 'AB_TEST_NOT_FOUND' })
      await expect(store().create(entryOf(model))).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
      await expect(store().end(unique('ab'), 'stopped')).rejects.toMatchObject({ code: 'AB_TEST_NOT_FOUND' })
      expect(await store().tests(model)).toEqual([])
    })
  })
}
