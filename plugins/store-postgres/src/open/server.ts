import { errors as core } from '@tideway/core'
import { sql } from 'drizzle-orm'
import type { Connection } from './connection.js'
import { migrateWith } from './migrate.js'

/** Key of the advisory lock under which one process at a time migrates; any number, but the same in every release. */
const MIGRATION_LOCK = 7_433_929

const CONNECT_TIMEOUT_MS = 10_000

/**
 * Opens a pool on a PostgreSQL server. Any number of processes may; they migrate one at a time.
 * Throws `STORE_UNAVAILABLE`, `STORE_NEWER`, `STORE_MIGRATION_FAILED`.
 */
export async function openServer(url: string): Promise<Connection> {
  const store = serverName(url)
  const [{ default: pg }, { drizzle }, { migrate }] = await Promise.all([
    import('pg'),
    import('drizzle-orm/node-postgres'),
    import('drizzle-orm/node-postgres/migrator'),
  ])
  const pool = new pg.Pool({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS, keepAlive: true })
  // An idle connection that breaks is dropped by the pool; without a listener it would end the process.
  pool.on('error', () => undefined)
  try {
    const client = await pool.connect().catch((cause: unknown) => {
      throw core.STORE_UNAVAILABLE({ store }, cause)
    })
    const one = drizzle({ client, casing: 'snake_case' })
    try {
      await one.execute(sql`select pg_advisory_lock(${MIGRATION_LOCK})`)
      await migrateWith(store, one, (config) => migrate(one, config))
    } finally {
      // Closed, not returned to the pool: that gives up the lock whatever happened.
      client.release(true)
    }
  } catch (cause) {
    await pool.end()
    throw cause
  }
  return { db: drizzle({ client: pool, casing: 'snake_case' }), close: () => pool.end() }
}

/** The server and database without user, password and parameters. */
export function serverName(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  return parsed === undefined ? 'PostgreSQL' : `postgres://${parsed.host}${parsed.pathname}`
}
