import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core'

/** What facets query: PGlite, a PostgreSQL pool, or a transaction on either. */
export type Db = PgDatabase<PgQueryResultHKT, Record<string, never>>

/** An open database with its tables up to date. */
export interface Connection {
  readonly db: Db
  /** No other process writes to it. */
  readonly isSole?: boolean
  /** Awaited before each use, where a database on this thread must give way to others. */
  turn?(): Promise<void>
  close(): Promise<void>
}

/** The rows of a raw statement; both drivers answer with `{ rows }`. */
export function rowsOf<Row>(result: unknown): Row[] {
  return (result as { rows: Row[] }).rows
}
