import { fileURLToPath } from 'node:url'
import { codeOf } from '@tideway/core'
import { sql } from 'drizzle-orm'
import { type MigrationConfig, readMigrationFiles } from 'drizzle-orm/migrator'
import { errors } from '../errors.js'
import { type Db, rowsOf } from './connection.js'

const migrationsFolder = fileURLToPath(new URL('../../drizzle', import.meta.url))
const config = { migrationsFolder, migrationsSchema: 'public', migrationsTable: 'tideway_migrations' }

/**
 * Brings the tables up to date with `run`, the driver's own migrator. The caller makes sure that one migrates at a time.
 * Throws `STORE_NEWER`, `STORE_MIGRATION_FAILED`.
 */
export async function migrateWith(
  store: string,
  db: Db,
  run: (config: MigrationConfig) => Promise<void>,
): Promise<void> {
  try {
    await refuseNewer(store, db)
    await run(config)
  } catch (cause) {
    if (codeOf(cause) !== undefined) throw cause
    throw errors.STORE_MIGRATION_FAILED({ store }, cause)
  }
}

async function refuseNewer(store: string, db: Db): Promise<void> {
  const table = sql`${sql.identifier(config.migrationsSchema)}.${sql.identifier(config.migrationsTable)}`
  const name = `${config.migrationsSchema}.${config.migrationsTable}`
  const [found] = rowsOf<{ there: boolean }>(await db.execute(sql`select to_regclass(${name}) is not null as there`))
  if (!found?.there) return
  const [last] = rowsOf<{ at: unknown }>(await db.execute(sql`select max(created_at) as at from ${table}`))
  const newest = Math.max(...readMigrationFiles(config).map((migration) => migration.folderMillis))
  const migrated = Number(last?.at ?? 0)
  if (migrated <= newest) return
  const day = (millis: number) => new Date(millis).toISOString()
  throw errors.STORE_NEWER({ store, migratedAt: day(migrated), newestKnown: day(newest) })
}
