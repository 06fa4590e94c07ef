import { createHost, tokens } from '@tideway/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from './contract.fixture.js'
import { storePostgres } from './plugin.js'
import { openStore } from './store.js'

// A first open of PGlite takes 3 s, and several times that on a busy machine.
describe('the store plugin', { timeout: 120_000 }, () => {
  let dir = ''
  let remove = async () => {}
  beforeEach(async () => {
    ;({ dir, remove } = await temporaryFolder())
  })
  afterEach(() => remove())

  it('gives every facet, usable from the start of the host to its stop', async () => {
    const host = createHost()
    host.use(storePostgres({ dir }))
    const asks = [
      () => host.get(tokens.registry).models(),
      () => host.get(tokens.chunkStore).blob('a'.repeat(64)),
      () => host.get(tokens.deviceStore).devices(),
      () => host.get(tokens.reportStore).counts(),
      () => host.get(tokens.runStore).runs(),
      () => host.get(tokens.jobStore).jobs(),
      () => host.get(tokens.auditLog).list(),
      () => host.get(tokens.keyStore).keys(),
    ]
    const unavailable = { code: 'STORE_UNAVAILABLE', data: { store: dir } }
    for (const ask of asks) await expect(ask()).rejects.toMatchObject(unavailable)
    await host.start()
    await Promise.all(asks.map((ask) => ask()))
    // What is under way when the host stops still ends well.
    const underWay = asks.map((ask) => ask())
    await host.stop()
    await Promise.all(underWay)
    for (const ask of asks) await expect(ask()).rejects.toMatchObject(unavailable)
  })

  it('fails to start on a folder in use, and leaves it to its holder', async () => {
    const holder = await openStore({ dir })
    const host = createHost()
    host.use(storePostgres({ dir }))
    const error: unknown = await host.start().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'START_FAILED',
      cause: { code: 'STORE_LOCKED', data: { pid: process.pid } },
    })
    await expect(holder.auditLog.append({ actor: 'a', action: 'b', subject: 'c' })).resolves.toBeDefined()
    await holder.close()
    await host.start()
    expect(await host.get(tokens.auditLog).list()).toHaveLength(1)
    await host.stop()
  })

  it.each([
    [{}, 'dir: give either dir or url'],
    [{ dir: 'a', url: 'postgres://h/d' }, 'url: give either dir or url'],
    [{ url: 'postgres://h/d' }, 'chunksDir: needed with url'],
    [{ dir: 'a', chunksDir: 'b' }, 'chunksDir: only with url'],
    [{ url: 'mysql://h/d', chunksDir: 'b' }, 'url: must be a postgres:// URL'],
    [{ dir: 'a', folder: 'b' }, '(root): Unrecognized key: "folder"'],
  ])('refuses options %j', (options, issue) => {
    const host = createHost()
    let thrown: unknown
    try {
      host.use(storePostgres(options as { dir: string }))
    } catch (error) {
      thrown = error
    }
    expect(thrown).toMatchObject({
      code: 'PLUGIN_OPTIONS_INVALID',
      data: { plugin: 'store-postgres', issues: expect.arrayContaining([issue]) },
    })
  })

  it('refuses bad options of openStore with INPUT_REJECTED', async () => {
    await expect(openStore({ dir: '' })).rejects.toMatchObject({ code: 'INPUT_REJECTED' })
  })
})
