import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { errors as core } from '@tideway/core'
import { takeLock } from '../lock/lock.js'
import type { Connection } from './connection.js'
import { migrateWith } from './migrate.js'

/** How long statements may follow one another before sockets, files and timers get their turn. */
const TURN_MS = 10

/**
 * Opens PGlite (PostgreSQL in this process) on `<dir>/db`, holding `<dir>/store.lock`. It runs on the main thread, and
 * without fsync: what was committed survives the end of the process, however it ends, but not a power cut.
 * Throws `STORE_LOCKED`, `STORE_UNAVAILABLE`, `STORE_NEWER`, `STORE_MIGRATION_FAILED`.
 */
export async function openPglite(dir: string): Promise<Connection> {
  await mkdir(dir, { recursive: true })
  const lock = await takeLock(dir)
  try {
    // Loaded here, so that a cloud on a PostgreSQL server does not load PGlite.
    const [{ PGlite }, { drizzle }, { migrate }] = await Promise.all([
      import('@electric-sql/pglite'),
      import('drizzle-orm/pglite'),
      import('drizzle-orm/pglite/migrator'),
    ])
    const client = await PGlite.create(join(dir, 'db')).catch((cause: unknown) => {
      throw core.STORE_UNAVAILABLE({ store: dir }, cause)
    })
    const db = drizzle({ client, casing: 'snake_case' })
    try {
      await migrateWith(dir, db, (config) => migrate(db, config))
    } catch (cause) {
      await client.close()
      throw cause
    }
    return {
      db,
      // As long as the lock is held.
      isSole: true,
      turn: giveWay(),
      async close() {
        await client.close()
        await lock.release()
      },
    }
  } catch (cause) {
    await lock.release()
    throw cause
  }
}

/** PGlite answers without ever leaving the queue of microtasks: a loop of statements would stop all I/O until it ends. */
function giveWay(): () => Promise<void> {
  let last = performance.now()
  return async () => {
    if (performance.now() - last < TURN_MS) return
    await nextTurn()
    last = performance.now()
  }
}
