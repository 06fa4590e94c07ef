import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { abTestStoreContract } from '@tideway/test/contract/store/ab-test-store'
import { auditLogContract } from '@tideway/test/contract/store/audit-log'
import { chunkStoreContract } from '@tideway/test/contract/store/chunk-store'
import { deviceStoreContract } from '@tideway/test/contract/store/device-store'
import { jobStoreContract } from '@tideway/test/contract/store/job-store'
import { keyStoreContract } from '@tideway/test/contract/store/key-store'
import { registryContract } from '@tideway/test/contract/store/registry'
import { reportStoreContract } from '@tideway/test/contract/store/report-store'
import { runStoreContract } from '@tideway/test/contract/store/run-store'
import { trafficStoreContract } from '@tideway/test/contract/store/traffic-store'
import type { Store } from './store.js'

export interface Opened {
  readonly store: Store
  readonly chunksDir: string
  /** Runs SQL as the owner of the tables. */
  query(statement: string): Promise<unknown>
}

/** Every facet's suite on one store. */
export function storeContracts(name: string, opened: () => Opened): void {
  registryContract(name, () => opened().store.registry)
  chunkStoreContract(name, () => opened().store.chunkStore, {
    alter: (sha256, bytes) => writeFile(join(opened().chunksDir, sha256.slice(0, 2), sha256), bytes),
  })
  deviceStoreContract(name, () => opened().store.deviceStore)
  reportStoreContract(name, () => opened().store.reportStore)
  runStoreContract(name, () => opened().store.runStore)
  jobStoreContract(name, () => opened().store.jobStore)
  const services = { registry: () => opened().store.registry }
  trafficStoreContract(name, () => opened().store.trafficStore, services)
  abTestStoreContract(name, () => opened().store.abTestStore, services)
  keyStoreContract(name, () => opened().store.keyStore)
  auditLogContract(name, () => opened().store.auditLog, {
    tamper: {
      update: (id) => opened().query(`update audit_log set actor = 'nobody' where id = ${id}`),
      delete: (id) => opened().query(`delete from audit_log where id = ${id}`),
      truncate: () => opened().query('truncate audit_log'),
    },
  })
}

/** A new folder, and what removes it. */
export async function temporaryFolder(): Promise<{ dir: string; remove: () => Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'tideway-store-'))
  return { dir, remove: () => rm(dir, { recursive: true, force: true }) }
}
