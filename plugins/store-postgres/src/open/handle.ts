import { codeOf, errors as core } from '@tideway/core'
import { DrizzleQueryError } from 'drizzle-orm'
import { errors } from '../errors.js'
import type { Connection, Db } from './connection.js'

/** The way from the facets to a database that is opened later and closed before them. */
export class Handle {
  readonly #pending = new Set<Promise<unknown>>()
  #connection: Connection | undefined

  /** `name` says in errors which store it is: a folder, or a server without its password. */
  constructor(readonly name: string) {}

  attach(connection: Connection): void {
    this.#connection = connection
  }

  /** Whether it is open, and no other process writes to it. */
  get isSole(): boolean {
    return this.#connection?.isSole === true
  }

  /** Runs statements. Throws `STORE_UNAVAILABLE` before opening, after closing and without connection, `STORE_QUERY_FAILED`. */
  async use<T>(work: (db: Db) => Promise<T>): Promise<T> {
    const connection = this.#connection
    if (connection === undefined) throw core.STORE_UNAVAILABLE({ store: this.name })
    const result = (async () => {
      await connection.turn?.()
      return work(connection.db)
    })()
    this.#pending.add(result)
    try {
      return await result
    } catch (cause) {
      throw this.#coded(cause)
    } finally {
      this.#pending.delete(result)
    }
  }

  /** As `use`, all or nothing. */
  transaction<T>(work: (tx: Db) => Promise<T>): Promise<T> {
    return this.use((db) => db.transaction(work))
  }

  /** Lets what is under way end, then closes the database. */
  async close(): Promise<void> {
    const connection = this.#connection
    this.#connection = undefined
    await Promise.allSettled(this.#pending)
    await connection?.close()
  }

  #coded(cause: unknown): unknown {
    if (codeOf(cause) !== undefined) return cause
    // A query error's own message holds its parameters, that is payloads; only what the server said goes on.
    const inner: unknown = cause instanceof DrizzleQueryError ? cause.cause : cause
    const sqlState = stringOf(inner, 'code')
    if (inner instanceof Error && isConnectionLoss(inner, sqlState))
      return core.STORE_UNAVAILABLE({ store: this.name }, new Error(inner.message))
    if (!(cause instanceof DrizzleQueryError)) return cause
    const said = new Error(inner instanceof Error ? inner.message : 'the statement failed')
    return errors.STORE_QUERY_FAILED({ store: this.name, sqlState: sqlState ?? 'unknown' }, said)
  }
}

/** Class 08 is connection exceptions, 57P0x the server shutting down, 53300 too many connections; the rest is sockets. */
function isConnectionLoss(error: Error, code: string | undefined): boolean {
  if (code !== undefined && /^(08|57P0|53300|E[A-Z]{4,})/.test(code)) return true
  return /connection (terminated|timeout)|timeout exceeded when trying to connect|not queryable/i.test(error.message)
}

function stringOf(value: unknown, key: string): string | undefined {
  const found: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
  return typeof found === 'string' ? found : undefined
}
