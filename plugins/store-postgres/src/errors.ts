import { defineErrors, entry } from '@tideway/core'

/** Errors of this store; the codes that all stores share are in `@tideway/core`. */
export const { entries, errors } = defineErrors({
  STORE_MIGRATION_FAILED: entry<{ store: string }>(
    500,
    (d) => `the tables of ${d.store} could not be brought up to date`,
    'Nothing was changed; see the cause. The database user must own the database.',
  ),
  STORE_NEWER: entry<{ store: string; migratedAt: string; newestKnown: string }>(
    409,
    (d) => `${d.store} was written by a newer release (migration of ${d.migratedAt}, this one knows ${d.newestKnown})`,
    'Update Tideway; an older release cannot read it.',
  ),
  STORE_QUERY_FAILED: entry<{ store: string; sqlState: string }>(
    500,
    (d) => `${d.store} refused a statement (SQLSTATE ${d.sqlState})`,
    'Nothing of it was stored; see the cause.',
  ),
  STORE_WRITE_FAILED: entry<{ path: string; reason: string }>(
    507,
    (d) => `${d.path} could not be written (${d.reason})`,
    'Check the free space and the permissions of the folder.',
  ),
})
