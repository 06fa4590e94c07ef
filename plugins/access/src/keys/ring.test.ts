import { setImmediate } from 'node:timers/promises'
import { type Actor, silentLogger } from '@tideway/core'
import { memoryKeyStore } from '@tideway/test/support/memory-key-store'
import { describe, expect, it } from 'vitest'
import { keysOf } from './keys.js'
import { KeyRing } from './ring.js'
import { digestOf, mintKey, type PresentedKey, presentedKey } from './text.js'

/** Two processes on one store, with clocks of our own. */
async function rig() {
  const time = { now: Date.now(), steady: 0 }
  const clocks = { now: () => time.now, steady: () => time.steady }
  const store = memoryKeyStore()
  const [ring, elsewhere] = [new KeyRing(store, silentLogger, clocks), new KeyRing(store, silentLogger, clocks)]
  const made = await keysOf(store, elsewhere).create({ name: 'ci', roles: ['viewer'] }, 'local')
  const pass = (ms: number) => {
    time.now += ms
    time.steady += ms
  }
  return { store, ring, elsewhere, ...made, pass }
}
const presented = (key: string) => presentedKey(key) as PresentedKey
const isKnown = (found: Actor | undefined | Promise<Actor | undefined>) =>
  !(found instanceof Promise) && found !== undefined

describe('the keys of a store', () => {
  it('have a form that tells them from other texts, 256 bits of secret, and a digest that does not tell it', () => {
    const { key, id, secretSha256 } = mintKey()
    expect(key).toMatch(/^tw_[0-9a-f]{16}_[\w-]{43}$/)
    const secret = key.split('_').slice(2).join('_')
    expect(presentedKey(key)).toEqual({ id, digest: digestOf(secret) })
    expect(Buffer.from(secret, 'base64url')).toHaveLength(32)
    expect(secretSha256).toMatch(/^[0-9a-f]{64}$/)
    expect(new Set(Array.from({ length: 1_000 }, () => mintKey().id)).size).toBe(1_000)
  })

  it('are known at once after the first question', async () => {
    const { ring, key, record } = await rig()
    expect(await ring.find(presented(key))).toEqual({ name: `key:ci/${record.id}`, roles: ['viewer'] })
    expect(isKnown(ring.find(presented(key)))).toBe(true)
  })

  it('that this process revokes are refused at once, also when an older answer comes after it', async () => {
    const { store, ring, key, record } = await rig()
    await ring.find(presented(key))
    const keys = keysOf(store, ring)
    await keys.revoke(record.id)
    expect(ring.find(presented(key))).toBeUndefined()
    ring.take({ ...(await store.keys())[0]!, revokedAt: undefined! })
    expect(ring.find(presented(key))).toBeUndefined()
  })

  it('that another process revokes are refused within a second', async () => {
    const { store, ring, elsewhere, key, record, pass } = await rig()
    await ring.find(presented(key))
    await keysOf(store, elsewhere).revoke(record.id)
    expect(isKnown(ring.find(presented(key)))).toBe(true)
    pass(1_001)
    expect(await ring.find(presented(key))).toBeUndefined()
  })

  it('are asked for ahead of time by those that come often, who never wait', async () => {
    const { store, ring, key, pass } = await rig()
    await ring.find(presented(key))
    const before = store.asked
    for (let i = 0; i < 100; i++) {
      pass(60)
      expect(isKnown(ring.find(presented(key)))).toBe(true)
      await setImmediate()
    }
    expect(store.asked).toBeGreaterThan(before)
  })

  it('are asked for once a second by those that try keys, however many', async () => {
    const { store, ring } = await rig()
    await Promise.all(Array.from({ length: 500 }, async () => ring.find(presented(mintKey().key))))
    for (let i = 0; i < 500; i++) expect(ring.find(presented(mintKey().key))).toBeUndefined()
    expect(store.asked).toBe(1)
  })

  it('open until they expire', async () => {
    const { store, ring, pass } = await rig()
    const expiresAt = new Date(Date.now() + 60_000).toISOString()
    const { key } = await keysOf(store, ring).create({ name: 'short', roles: ['viewer'], expiresAt }, 'local')
    expect(await ring.find(presented(key))).toBeDefined()
    pass(61_000)
    expect(await ring.find(presented(key))).toBeUndefined()
  })

  it('are not believed for longer when the store is away', async () => {
    const { store, ring, key, pass } = await rig()
    await ring.find(presented(key))
    store.fail(true)
    pass(600)
    expect(isKnown(ring.find(presented(key)))).toBe(true)
    pass(600)
    await expect(ring.find(presented(key))).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    store.fail(false)
    expect(await ring.find(presented(key))).toBeDefined()
  })

  it('show when they were used last, to a minute, and a use that is noted keeps nobody waiting', async () => {
    const { store, ring, key, pass } = await rig()
    await ring.find(presented(key))
    await ring.close()
    const first = (await store.keys())[0]?.lastUsedAt
    expect(first).toBeDefined()
    pass(30_000)
    await ring.find(presented(key))
    await ring.close()
    expect((await store.keys())[0]?.lastUsedAt).toBe(first)
    pass(31_000)
    await ring.find(presented(key))
    await ring.close()
    expect((await store.keys())[0]?.lastUsedAt).not.toBe(first)
  })

  it('are made of what is valid alone, naming every bad field', async () => {
    const { store, ring } = await rig()
    const order = {
      name: 'No Spaces',
      roles: [],
      models: ['UPPER'],
      devices: ['press-1'],
      expiresAt: '2020-01-01T00:00:00Z',
    }
    const refused = keysOf(store, ring).create(order, 'local')
    await expect(refused).rejects.toMatchObject({ code: 'INPUT_REJECTED' })
    const issues = await refused.catch((error: { data: { issues: string[] } }) => error.data.issues)
    for (const field of ['name', 'roles', 'models.0', 'devices.0', 'expiresAt'])
      expect(issues).toEqual(expect.arrayContaining([expect.stringContaining(field)]))
  })
})
