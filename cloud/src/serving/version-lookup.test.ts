import { errors, type Registry, type VersionRecord } from '@tideway/core'
import { beforeEach, describe, expect, it } from 'vitest'
import { VersionLookup } from './version-lookup.js'

/** What each alias of the model `m` names. */
let aliases: Record<string, number>
let queries: number
let now: number
let fails: boolean
let changed: (model: string) => void

beforeEach(() => {
  aliases = { latest: 1, live: 1 }
  queries = 0
  now = 0
  fails = false
})

function registry(tells = true): Registry {
  const parts: Partial<Registry> = {
    async resolve(model, wanted): Promise<VersionRecord> {
      queries++
      const version = aliases[wanted] ?? Number(wanted)
      await Promise.resolve()
      if (fails) throw errors.STORE_UNAVAILABLE({ reason: 'gone' } as never)
      if (model !== 'm') throw errors.MODEL_NOT_FOUND({ model })
      return { model, version, manifestDigest: String(version), createdAt: '' }
    },
    ...(tells && {
      onChange(listener) {
        changed = listener
        return () => undefined
      },
    }),
  }
  return parts as Registry
}

const lookupOn = (tells?: boolean) => new VersionLookup(registry(tells), () => now)

describe('a version that is looked up', () => {
  it('is asked for once, also by many at the same time', async () => {
    const lookup = lookupOn()
    const asked = Array.from({ length: 50 }, () => lookup.resolve('m', 'latest'))
    expect(new Set((await Promise.all(asked)).map(({ version }) => version))).toEqual(new Set([1]))
    await lookup.resolve('m', 'live')
    expect(queries).toBe(2)
  })

  it('is another one as soon as this process moves its alias', async () => {
    const lookup = lookupOn()
    await lookup.resolve('m', 'latest')
    aliases.latest = 2
    changed('m')
    expect((await lookup.resolve('m', 'latest')).version).toBe(2)
  })

  it('is not remembered as what a query read that was under way when the alias moved', async () => {
    const lookup = lookupOn()
    const before = lookup.resolve('m', 'latest')
    aliases.latest = 2
    changed('m')
    expect((await before).version).toBe(1)
    expect((await lookup.resolve('m', 'latest')).version).toBe(2)
  })

  it('by an alias that another process moved is seen within a second, and by its number never again asked for', async () => {
    const lookup = lookupOn()
    for (const wanted of ['latest', '1']) await lookup.resolve('m', wanted)
    aliases.latest = 2
    now = 999
    expect((await lookup.resolve('m', 'latest')).version).toBe(1)
    now = 1_000
    expect((await lookup.resolve('m', 'latest')).version).toBe(2)
    now = 1e9
    await lookup.resolve('m', '1')
    expect(queries).toBe(3)
  })

  it('by an alias is asked for ahead of time, so that nobody who comes often waits', async () => {
    const lookup = lookupOn()
    await lookup.resolve('m', 'latest')
    for (now = 0; now < 20_000; now += 100) {
      expect(lookup.known('m', 'latest')?.version).toBeDefined()
      await new Promise(setImmediate)
    }
    expect(queries).toBeGreaterThan(20)
    expect(queries).toBeLessThan(50)
  })

  it('is not renewed by a query that was under way when the alias moved', async () => {
    const lookup = lookupOn()
    await lookup.resolve('m', 'latest')
    now = 600
    expect(lookup.known('m', 'latest')?.version).toBe(1)
    aliases.latest = 2
    changed('m')
    await new Promise(setImmediate)
    expect(lookup.known('m', 'latest')).toBeUndefined()
    expect((await lookup.resolve('m', 'latest')).version).toBe(2)
  })

  it('is believed to its end where the registry does not answer, and no longer', async () => {
    const lookup = lookupOn()
    await lookup.resolve('m', 'latest')
    now = 600
    fails = true
    expect(lookup.known('m', 'latest')?.version).toBe(1)
    await new Promise(setImmediate)
    now = 999
    expect(lookup.known('m', 'latest')?.version).toBe(1)
    now = 1_000
    await expect(lookup.resolve('m', 'latest')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  })

  it('that is not there is asked for again', async () => {
    const lookup = lookupOn()
    for (let i = 0; i < 2; i++)
      await expect(lookup.resolve('n', '1')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
    expect(queries).toBe(2)
  })

  it('is asked for each time where the registry does not tell of changes', async () => {
    const lookup = lookupOn(false)
    for (let i = 0; i < 3; i++) await lookup.resolve('m', '1')
    expect(queries).toBe(3)
  })

  it('is one of a thousand at most that are remembered', async () => {
    const lookup = lookupOn()
    for (let i = 1; i <= 1_001; i++) await lookup.resolve('m', String(i))
    await lookup.resolve('m', '1001')
    expect(queries).toBe(1_001)
    await lookup.resolve('m', '1')
    expect(queries).toBe(1_002)
  })
})
