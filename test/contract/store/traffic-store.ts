import type { Registry, TrafficPolicy, TrafficStore } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { type Subject, unique, uniqueDigest } from './fixture.js'

const canary = (percent: number): TrafficPolicy => ({ kind: 'canary', stable: 1, canary: 2, percent, sticky: true })

/** The suite that every `TrafficStore` runs; models are registered with `registry`. */
export function trafficStoreContract(
  name: string,
  store: Subject<TrafficStore>,
  { registry }: { readonly registry: Subject<Registry> },
): void {
  async function aModel(): Promise<string> {
    const model = unique('model')
    await registry().register({ model, manifestDigest: uniqueDigest() })
    return model
  }
  const entryOf = (model: string, percent: number, after?: number) => ({
    model,
    policy: canary(percent),
    salt: 'salt',
    actor: 'someone',
    after,
  })

  describe(`traffic store contract: ${name}`, () => {
    it('keeps every policy of a model, the newest being the current one', async () => {
      const model = await aModel()
      expect(await store().current(model)).toBeUndefined()
      expect(await store().history(model)).toEqual([])
      const first = await store().set(entryOf(model, 5))
      const { after: _, ...entry } = entryOf(model, 5)
      expect(first).toEqual({ ...entry, id: expect.any(Number), at: expect.stringMatching(/^\d{4}-.*Z$/) })
      const second = await store().set({ ...entryOf(model, 10, first.id), test: 'ab-1' })
      expect(second).toMatchObject({ policy: canary(10), test: 'ab-1' })
      expect(await store().current(model)).toEqual(second)
      expect(await store().history(model)).toEqual([first, second])
    })

    it('sets nothing over a policy that the caller did not see', async () => {
      const model = await aModel()
      const first = await store().set(entryOf(model, 5))
      for (const seen of [undefined, first.id + 1]) {
        const refused = expect(store().set(entryOf(model, 6, seen))).rejects
        await refused.toMatchObject({ code: 'TRAFFIC_CHANGED', data: { model } })
      }
      expect(await store().history(model)).toEqual([first])
    })

    it('lets one of many that saw the same policy set the next', async () => {
      const model = await aModel()
      const { id } = await store().set(entryOf(model, 1))
      const sets = await Promise.allSettled(
        Array.from({ length: 8 }, (_, at) => store().set(entryOf(model, at + 2, id))),
      )
      expect(sets.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      expect(await store().history(model)).toHaveLength(2)
    })

    it('tells what is new since a policy: the newest of each model, in order, also when many are set at once', async () => {
      const models = await Promise.all(Array.from({ length: 6 }, aModel))
      const begin = await store().set(entryOf(models[0] as string, 1))
      const seen: string[] = []
      let cursor = begin.id
      let isDone = false
      const reader = (async () => {
        for (;;) {
          const last = isDone
          for (const { id, model } of await store().since(cursor)) {
            cursor = id
            seen.push(model)
          }
          if (last) return
        }
      })()
      await Promise.all(models.slice(1).map((model) => store().set(entryOf(model, 2))))
      isDone = true
      await reader
      expect(seen.filter((model) => models.includes(model)).toSorted()).toEqual(models.slice(1).toSorted())
      const second = await store().set(
        entryOf(models[1] as string, 3, (await store().current(models[1] as string))?.id),
      )
      const mine = (await store().since(begin.id)).filter(({ model }) => models.includes(model))
      expect(mine.map(({ id }) => id)).toEqual(mine.map(({ id }) => id).toSorted((a, b) => a - b))
      expect(mine.at(-1)).toEqual(second)
      expect(mine).toHaveLength(5)
    })

    it('knows no traffic of a model that is not there', async () => {
      const model = unique('model')
      await expect(store().set(entryOf(model, 5))).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
      await expect(store().history(model)).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
      expect(await store().current(model)).toBeUndefined()
    })
  })
}
