import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { type Opened, storeContracts, temporaryFolder } from './contract.fixture.js'
import { Handle } from './open/handle.js'
import { openPglite } from './open/pglite.js'
import { facetsOn } from './store.js'

describe('PGlite', () => {
  let opened: Opened | undefined
  let remove = async () => {}

  beforeAll(async () => {
    const folder = await temporaryFolder()
    remove = folder.remove
    const chunksDir = join(folder.dir, 'chunks')
    const handle = new Handle(folder.dir)
    handle.attach(await openPglite(folder.dir))
    const store = { ...facetsOn(handle, chunksDir), close: () => handle.close() }
    opened = { store, chunksDir, query: (statement) => handle.use((db) => db.execute(sql.raw(statement))) }
  }, 180_000)
  afterAll(async () => {
    await opened?.store.close()
    await remove()
  })

  storeContracts('PGlite', () => {
    if (opened === undefined) throw new Error('not open')
    return opened
  })

  it('lets timers and I/O have their turn between statements', async () => {
    const store = opened?.store
    let passed = false
    const timer = setTimeout(() => {
      passed = true
    }, 1)
    for (let i = 0; !passed; i++) {
      if (i > 20_000) throw new Error('a timer of 1 ms did not fire within 20,000 statements')
      await store?.auditLog.list({ limit: 1 })
    }
    clearTimeout(timer)
  })
})
