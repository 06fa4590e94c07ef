import type { Registry } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { type Subject, unique, uniqueDigest } from './fixture.js'

/** A model with one version, and the aliases that name it. */
interface Registered {
  readonly model: string
  readonly manifestDigest: string
  readonly aliases: readonly string[]
}

/** What every registry answers of a version that is there, one that nothing can be registered in, too. */
export function readingRegistryContract(
  name: string,
  registry: Subject<Registry>,
  registered: () => Promise<Registered>,
): void {
  describe(`registry contract, reading: ${name}`, () => {
    it('finds the version by its number, by its aliases and by its digest', async () => {
      const { model, manifestDigest, aliases } = await registered()
      const version = await registry().resolve(model, '1')
      expect(version).toEqual({ model, version: 1, manifestDigest, createdAt: expect.stringMatching(/^\d{4}-.*Z$/) })
      for (const alias of aliases) expect(await registry().resolve(model, alias)).toEqual(version)
      expect(await registry().findByDigest(manifestDigest)).toEqual(version)
      expect(await registry().findByDigest(uniqueDigest())).toBeUndefined()
    })

    it('lists the model, its version, and where its aliases point since when', async () => {
      const { model, aliases } = await registered()
      const version = await registry().resolve(model, '1')
      const found = (await registry().models()).find((record) => record.name === model)
      expect(found).toEqual({ name: model, displayName: expect.any(String), createdAt: version.createdAt })
      expect(await registry().versions(model)).toEqual([version])
      const moves = aliases.map((alias) => ({ model, alias, version: 1, at: expect.any(String) }))
      expect(await registry().aliases(model)).toEqual(moves)
      for (const [at, alias] of aliases.entries())
        expect(await registry().aliasHistory(model, alias)).toEqual([moves[at]])
      expect(await registry().aliasHistory(model, 'no-such-alias')).toEqual([])
    })

    it.each(['2', '0', '-1', '01', '1.0', '2147483648', '99999999999999999999', 'no-such-alias', ''])(
      'refuses to resolve %j with VERSION_NOT_FOUND',
      async (version) => {
        const { model } = await registered()
        await expect(registry().resolve(model, version)).rejects.toMatchObject({
          code: 'VERSION_NOT_FOUND',
          data: { model, version },
        })
      },
    )

    it('refuses to read of a model that is not there with MODEL_NOT_FOUND', async () => {
      const model = unique('model')
      const asked = [
        () => registry().versions(model),
        () => registry().resolve(model, '1'),
        () => registry().resolve(model, 'latest'),
        () => registry().aliases(model),
      ]
      for (const ask of asked) await expect(ask()).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND', data: { model } })
    })
  })
}

/** The suite that every `Registry` runs in which versions can be registered. */
export function registryContract(name: string, registry: Subject<Registry>): void {
  readingRegistryContract(name, registry, async () => {
    const entry = { model: unique('model'), manifestDigest: uniqueDigest(), aliases: ['latest', 'production'] }
    await registry().register(entry)
    return entry
  })

  /** A model with as many versions. */
  async function modelWith(versions: number): Promise<{ model: string; digests: string[] }> {
    const model = unique('model')
    const digests = Array.from({ length: versions }, uniqueDigest)
    for (const manifestDigest of digests) await registry().register({ model, manifestDigest })
    return { model, digests }
  }

  describe(`registry contract: ${name}`, () => {
    it('creates the model with its first version', async () => {
      const model = unique('model')
      const entry = { model, manifestDigest: uniqueDigest(), runId: unique('run') }
      const { version, created } = await registry().register(entry)
      expect(created).toBe(true)
      expect(version).toEqual({ ...entry, version: 1, createdAt: expect.stringMatching(/^\d{4}-.*Z$/) })
      const found = (await registry().models()).find((record) => record.name === model)
      expect(found).toEqual({ name: model, displayName: expect.any(String), createdAt: version.createdAt })
      expect(await registry().versions(model)).toEqual([version])
    })

    it('tells of every change once it can be read, or of none', async () => {
      const { model } = await modelWith(1)
      const heard: Promise<number>[] = []
      const stop = registry().onChange?.((name) => {
        if (name === model)
          heard.push(
            registry()
              .resolve(model, 'live')
              .then(({ version }) => version),
          )
      })
      if (stop === undefined) return
      await registry().setAlias(model, 'live', 1)
      await registry().register({ model, manifestDigest: uniqueDigest(), aliases: ['live'] })
      await registry()
        .setAlias(model, 'live', 9)
        .catch(() => undefined)
      stop()
      await registry().setAlias(model, 'live', 1)
      expect(await Promise.all(heard)).toEqual([1, 2])
    })

    it('leaves out the run of a version that has none', async () => {
      const { model } = await modelWith(1)
      expect(Object.keys(await registry().resolve(model, '1'))).not.toContain('runId')
    })

    it('counts versions from 1 in each model, listed oldest first', async () => {
      const [one, other] = [await modelWith(3), await modelWith(1)]
      const versions = await registry().versions(one.model)
      expect(versions.map((record) => record.version)).toEqual([1, 2, 3])
      expect(versions.map((record) => record.manifestDigest)).toEqual(one.digests)
      expect(await registry().versions(other.model)).toHaveLength(1)
    })

    it('answers a known digest with the version that has it, and points the aliases there', async () => {
      const { model, digests } = await modelWith(2)
      await registry().setAlias(model, 'latest', 2)
      const again = { model, manifestDigest: digests[0] as string, aliases: ['latest', 'seen-twice'] }
      const { version, created } = await registry().register(again)
      expect(created).toBe(false)
      expect(version.version).toBe(1)
      expect(await registry().versions(model)).toHaveLength(2)
      expect((await registry().resolve(model, 'latest')).version).toBe(1)
      expect((await registry().resolve(model, 'seen-twice')).version).toBe(1)
    })

    it('lets two models have the same manifest digest, and finds one of them by it', async () => {
      const manifestDigest = uniqueDigest()
      const names = [unique('model'), unique('model')]
      for (const model of names) await registry().register({ model, manifestDigest })
      const found = await registry().findByDigest(manifestDigest)
      expect(names).toContain(found?.model)
      expect(await registry().findByDigest(uniqueDigest())).toBeUndefined()
    })

    it('gives concurrent registrations version numbers without gaps or doubles', async () => {
      const model = unique('model')
      const digests = Array.from({ length: 24 }, uniqueDigest)
      const answers = await Promise.all(
        digests.map((manifestDigest) => registry().register({ model, manifestDigest, aliases: ['latest'] })),
      )
      const numbers = answers.map(({ version }) => version.version).toSorted((a, b) => a - b)
      expect(numbers).toEqual(digests.map((_, index) => index + 1))
      const history = await registry().aliasHistory(model, 'latest')
      expect(history.map((move) => move.version)).toEqual(digests.map((_, index) => index + 1))
    })

    it('registers one version when the same manifest arrives many times at once', async () => {
      const entry = { model: unique('model'), manifestDigest: uniqueDigest() }
      const answers = await Promise.all(Array.from({ length: 12 }, () => registry().register(entry)))
      expect(answers.filter(({ created }) => created)).toHaveLength(1)
      expect(new Set(answers.map(({ version }) => version.version))).toEqual(new Set([1]))
      expect(await registry().versions(entry.model)).toHaveLength(1)
    })

    it('stores nothing of a registration with a bad name', async () => {
      const model = unique('model')
      const manifestDigest = uniqueDigest()
      const refused = registry().register({ model, manifestDigest, aliases: ['fine', 'Not Fine'] })
      await expect(refused).rejects.toMatchObject({ code: 'NAME_INVALID' })
      await expect(registry().versions(model)).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
      await expect(registry().register({ model: 'Digits!', manifestDigest })).rejects.toMatchObject({
        code: 'NAME_INVALID',
      })
      expect(await registry().findByDigest(manifestDigest)).toBeUndefined()
    })

    it('resolves numbers and aliases', async () => {
      const { model, digests } = await modelWith(2)
      await registry().setAlias(model, 'production', 1)
      expect((await registry().resolve(model, '2')).manifestDigest).toBe(digests[1])
      expect((await registry().resolve(model, 'production')).manifestDigest).toBe(digests[0])
    })

    it('refuses to move an alias of a model that is not there with MODEL_NOT_FOUND', async () => {
      const model = unique('model')
      await expect(registry().setAlias(model, 'latest', 1)).rejects.toMatchObject({
        code: 'MODEL_NOT_FOUND',
        data: { model },
      })
    })

    it.each(['7', '2026', 'Latest', 'a b', ''])('refuses %j as an alias with NAME_INVALID', async (alias) => {
      const { model } = await modelWith(1)
      await expect(registry().setAlias(model, alias, 1)).rejects.toMatchObject({ code: 'NAME_INVALID' })
    })

    it.each([0, 2, -1, 1.5, 2 ** 40])('refuses an alias for version %d, which is not there', async (version) => {
      const { model } = await modelWith(1)
      await expect(registry().setAlias(model, 'latest', version)).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND' })
      expect(await registry().aliases(model)).toEqual([])
    })

    it('keeps every move of an alias, also back, and says where each alias points now', async () => {
      const { model } = await modelWith(3)
      for (const version of [1, 3, 2, 3]) await registry().setAlias(model, 'production', version)
      await registry().setAlias(model, 'candidate', 2)
      const history = await registry().aliasHistory(model, 'production')
      expect(history.map((move) => move.version)).toEqual([1, 3, 2, 3])
      for (const move of history) expect(move).toMatchObject({ model, alias: 'production', at: expect.any(String) })
      const now = (await registry().aliases(model)).map(({ alias, version }) => [alias, version])
      expect(now).toEqual([
        ['candidate', 2],
        ['production', 3],
      ])
    })

    it('does not count pointing an alias at where it points already as a move', async () => {
      const { model } = await modelWith(1)
      const first = await registry().setAlias(model, 'latest', 1)
      expect(await registry().setAlias(model, 'latest', 1)).toEqual(first)
      expect(await registry().aliasHistory(model, 'latest')).toHaveLength(1)
    })
  })
}
