import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { startPostgres, type TestPostgres } from '@tideway/test/support/postgres'
import { describeWithServer } from '@tideway/test/support/servers'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Opened, storeContracts, temporaryFolder } from './contract.fixture.js'
import { openStore, type Store } from './store.js'

describeWithServer('postgres', 'a PostgreSQL server', (path) => {
  let server: TestPostgres | undefined
  let opened: Opened | undefined
  const cleanups: (() => Promise<unknown>)[] = []

  beforeAll(async () => {
    const folder = await temporaryFolder()
    cleanups.push(folder.remove)
    server = await startPostgres(path)
    cleanups.push(async () => server?.close())
    const store = await openStore({ url: server.url, chunksDir: folder.dir })
    cleanups.push(() => store.close())
    opened = { store, chunksDir: folder.dir, query: (statement) => query(urlOf(), statement) }
  }, 180_000)
  afterAll(async () => {
    for (const cleanup of cleanups.toReversed()) await cleanup()
  })

  const urlOf = (): string => {
    if (server === undefined) throw new Error('not started')
    return server.url
  }
  const open = (): Opened => {
    if (opened === undefined) throw new Error('not open')
    return opened
  }
  storeContracts('PostgreSQL', open)

  describe('shared by processes', () => {
    it('is migrated by one of many that open an empty database at once, and all can use it', async () => {
      const database = `db_${randomBytes(4).toString('hex')}`
      await query(urlOf(), `create database ${database}`)
      const url = urlOf().replace(/postgres$/, database)
      const all = await Promise.all(Array.from({ length: 6 }, () => openStore({ url, chunksDir: open().chunksDir })))
      try {
        const manifestDigest = 'a'.repeat(64)
        const answers = await Promise.all(all.map((store) => store.registry.register({ model: 'm', manifestDigest })))
        expect(answers.filter(({ created }) => created)).toHaveLength(1)
        const { rows } = await query(url, 'select count(*)::int as n from public.tideway_migrations')
        const journal = new URL('../drizzle/meta/_journal.json', import.meta.url)
        const { entries } = JSON.parse(readFileSync(journal, 'utf8')) as { entries: unknown[] }
        expect(rows).toEqual([{ n: entries.length }])
      } finally {
        await Promise.all(all.map((store) => store.close()))
      }
    })

    it('refuses a database of a newer release with STORE_NEWER', async () => {
      const database = `db_${randomBytes(4).toString('hex')}`
      await query(urlOf(), `create database ${database}`)
      const url = urlOf().replace(/postgres$/, database)
      const options = { url, chunksDir: open().chunksDir }
      await (await openStore(options)).close()
      await query(url, `insert into public.tideway_migrations (hash, created_at) values ('x', 4102444800000)`)
      await expect(openStore(options)).rejects.toMatchObject({ code: 'STORE_NEWER' })
    })
  })

  describe('that goes away', () => {
    it('answers STORE_UNAVAILABLE while it is down and serves again when it is back, all committed rows there', async () => {
      const { store } = open()
      const before = await store.auditLog.append({ actor: 'a', action: 'b', subject: 'kept' })
      await server?.stop('immediate')
      await expect(store.auditLog.list()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
      const down = openStore({ url: urlOf(), chunksDir: open().chunksDir })
      await expect(down).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
      await server?.start()
      expect(await store.auditLog.list({ subject: 'kept' })).toEqual([before])
    })

    it('names the server without its password', async () => {
      const url = `postgres://user:top-secret@127.0.0.1:1/db?application_name=also-secret`
      const error: unknown = await openStore({ url, chunksDir: open().chunksDir }).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', data: { store: 'postgres://127.0.0.1:1/db' } })
      expect(String(error)).not.toMatch(/secret/)
    })
  })

  it('puts nothing of the parameters into the error of a refused statement', async () => {
    const store: Store = open().store
    const subject = `payload-${'x'.repeat(20_000)}${randomBytes(20_000).toString('hex')}`
    const error: unknown = await store.auditLog.append({ actor: 'a', action: 'b', subject }).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'STORE_QUERY_FAILED', data: { sqlState: '54000' } })
    expect(`${String(error)} ${String((error as Error).cause)}`).not.toMatch(/payload-/)
  })
})

async function query(url: string, statement: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await client.query(statement)
  } finally {
    await client.end()
  }
}
