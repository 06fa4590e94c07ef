import type { KeyStore } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { after, NOON, type Subject, unique, uniqueDigest } from './fixture.js'

/** The suite that every `KeyStore` runs. */
export function keyStoreContract(name: string, store: Subject<KeyStore>): void {
  const keyOf = (more: Partial<Parameters<KeyStore['create']>[0]> = {}) => ({
    id: unique('k'),
    name: 'of the press',
    secretSha256: uniqueDigest(),
    roles: ['viewer'] as const,
    createdAt: NOON,
    createdBy: 'local',
    ...more,
  })

  describe(`key store contract: ${name}`, () => {
    it('keeps a key as it was made', async () => {
      const key = keyOf({
        name: 'Presse Nº 1',
        roles: ['operator', 'device'],
        models: ['digits', 'line'],
        devices: ['plant/*'],
        expiresAt: after(60_000),
      })
      expect(await store().create(key)).toEqual(key)
      expect((await store().keys()).filter(({ id }) => id === key.id)).toEqual([key])
    })

    it('tells a scope of nothing from none', async () => {
      const [nothing, none] = [keyOf({ models: [], devices: [] }), keyOf()]
      for (const key of [nothing, none]) expect(await store().create(key)).toEqual(key)
    })

    it('refuses an id that was given before, and leaves that key as it was', async () => {
      const key = await store().create(keyOf())
      const again = store().create(keyOf({ id: key.id, name: 'another' }))
      await expect(again).rejects.toMatchObject({ code: 'KEY_EXISTS', data: { key: key.id } })
      expect((await store().keys()).filter(({ id }) => id === key.id)).toEqual([key])
    })

    it('lists newest first', async () => {
      const ids: string[] = []
      for (const ms of [1, 2, 3]) ids.unshift((await store().create(keyOf({ createdAt: after(ms) }))).id)
      expect((await store().keys()).map(({ id }) => id).filter((id) => ids.includes(id))).toEqual(ids)
    })

    it('revokes once: the first time counts', async () => {
      const key = await store().create(keyOf())
      const revoked = { ...key, revokedAt: after(1_000) }
      expect(await store().revoke(key.id, after(1_000))).toEqual(revoked)
      expect(await store().revoke(key.id, after(9_000))).toEqual(revoked)
      await expect(store().revoke('nokey', NOON)).rejects.toMatchObject({
        code: 'KEY_NOT_FOUND',
        data: { key: 'nokey' },
      })
    })

    it('notes when keys were used, and never an earlier time', async () => {
      const [a, b] = [await store().create(keyOf()), await store().create(keyOf())]
      await store().used([
        { id: a.id, at: after(2_000) },
        { id: b.id, at: after(1_000) },
        { id: 'nokey', at: after(3_000) },
      ])
      await store().used([{ id: a.id, at: after(500) }])
      const listed = (await store().keys()).filter(({ id }) => id === a.id || id === b.id)
      expect(Object.fromEntries(listed.map(({ id, lastUsedAt }) => [id, lastUsedAt]))).toEqual({
        [a.id]: after(2_000),
        [b.id]: after(1_000),
      })
    })

    it('answers what changed since a revision: what was made and revoked, not what was used', async () => {
      const before = await store().changes(0)
      expect(await store().changes(before.revision)).toEqual({ keys: [], revision: before.revision })
      const [a, b] = [await store().create(keyOf()), await store().create(keyOf())]
      const made = await store().changes(before.revision)
      expect(made.keys.map(({ id }) => id).toSorted()).toEqual([a.id, b.id].toSorted())
      await store().used([{ id: a.id, at: NOON }])
      expect(await store().changes(made.revision)).toEqual({ keys: [], revision: made.revision })
      const revoked = await store().revoke(b.id, NOON)
      const after = await store().changes(made.revision)
      expect(after.keys).toEqual([revoked])
      expect((await store().changes(0)).keys.map(({ id }) => id)).toEqual(expect.arrayContaining([a.id, b.id]))
    })

    it('misses no change of many at once', async () => {
      const seen = new Set<string>()
      let { revision } = await store().changes(0)
      const look = async () => {
        const news = await store().changes(revision)
        for (const { id } of news.keys) seen.add(id)
        revision = news.revision
      }
      const making = Array.from({ length: 20 }, () => store().create(keyOf()))
      for (const made of making) {
        await look()
        await made
      }
      await look()
      const ids = (await Promise.all(making)).map(({ id }) => id)
      expect([...seen].toSorted()).toEqual(expect.arrayContaining(ids.toSorted()))
    })
  })
}
