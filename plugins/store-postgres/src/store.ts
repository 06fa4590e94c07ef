import { join } from 'node:path'
import {
  type AbTestStore,
  type AuditLog,
  type ChunkStore,
  type DeviceStore,
  type JobStore,
  type KeyStore,
  narrow,
  type Registry,
  type ReportStore,
  type RunStore,
  type TrafficStore,
} from '@tideway/core'
import { prepareFolder } from './chunks/files.js'
import { errors } from './errors.js'
import { abTestStoreOn } from './facets/ab-test-store.js'
import { auditLogOn } from './facets/audit-log.js'
import { chunkStoreOn } from './facets/chunk-store.js'
import { deviceStoreOn } from './facets/device-store.js'
import { jobStoreOn } from './facets/job-store.js'
import { keyStoreOn } from './facets/key-store.js'
import { registryOn } from './facets/registry.js'
import { reportStoreOn } from './facets/report-store.js'
import { runStoreOn } from './facets/run-store.js'
import { trafficStoreOn } from './facets/traffic-store.js'
import { Handle } from './open/handle.js'
import { openPglite } from './open/pglite.js'
import { openServer, serverName } from './open/server.js'
import { optionsSchema, type StoreOptions } from './options.js'

export interface Facets {
  readonly registry: Registry
  readonly chunkStore: ChunkStore
  readonly deviceStore: DeviceStore
  readonly reportStore: ReportStore
  readonly runStore: RunStore
  readonly jobStore: JobStore
  readonly auditLog: AuditLog
  readonly trafficStore: TrafficStore
  readonly abTestStore: AbTestStore
  readonly keyStore: KeyStore
}

/** Every facet of the store, on one database. */
export interface Store extends Facets {
  /** Lets what is under way end, closes the database and gives up the lock. Later calls throw `STORE_UNAVAILABLE`. */
  close(): Promise<void>
}

/** A store whose facets can be handed out before it is opened. */
export interface ClosedStore extends Store {
  /** Throws as `openStore` does. */
  open(): Promise<void>
}

export function facetsOn(handle: Handle, chunksDir: string): Facets {
  return {
    registry: registryOn(handle),
    chunkStore: chunkStoreOn(handle, chunksDir),
    deviceStore: deviceStoreOn(handle),
    reportStore: reportStoreOn(handle),
    runStore: runStoreOn(handle),
    jobStore: jobStoreOn(handle),
    auditLog: auditLogOn(handle),
    trafficStore: trafficStoreOn(handle),
    abTestStore: abTestStoreOn(handle),
    keyStore: keyStoreOn(handle),
  }
}

export function storeOf(options: StoreOptions): ClosedStore {
  const handle = new Handle('dir' in options ? options.dir : serverName(options.url))
  const chunksDir = 'dir' in options ? join(options.dir, 'chunks') : options.chunksDir
  return {
    ...facetsOn(handle, chunksDir),
    async open() {
      await prepareFolder(chunksDir).catch((cause: NodeJS.ErrnoException) => {
        throw errors.STORE_WRITE_FAILED({ path: chunksDir, reason: cause.code ?? 'unknown' }, cause)
      })
      handle.attach(await ('dir' in options ? openPglite(options.dir) : openServer(options.url)))
    },
    close: () => handle.close(),
  }
}

/**
 * Opens the store and brings its tables up to date.
 *
 * `{ dir }`: PGlite on disk, one process at a time. It runs on the main thread and without fsync: what was committed
 * survives the end of the process, however it ends, but not a power cut. `{ url, chunksDir }`: a PostgreSQL server, any
 * number of processes, as durable as the server is. Chunks are files in both, written with fsync.
 *
 * Throws `INPUT_REJECTED`, `STORE_LOCKED`, `STORE_UNAVAILABLE`, `STORE_NEWER`, `STORE_MIGRATION_FAILED`,
 * `STORE_WRITE_FAILED`.
 *
 * @example
 * const store = await openStore({ dir: '.tideway' })
 * const { version } = await store.registry.register({ model: 'digits', manifestDigest, aliases: ['latest'] })
 * await store.close()
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const store = storeOf(narrow(optionsSchema, options, 'store options'))
  await store.open()
  return store
}
