import type { AuditEntry, AuditLog } from '@tideway/core'
import { and, desc, eq } from 'drizzle-orm'
import type { Handle } from '../open/handle.js'
import { safeText } from '../schema/safe.js'
import { auditLog } from '../schema/tables.js'

const DEFAULT_LIST_LIMIT = 100

/** The audit log. The database itself refuses to change or remove an entry. */
export function auditLogOn(handle: Handle): AuditLog {
  return {
    append: ({ actor, action, subject, data = {} }) =>
      handle.use(async (db) => {
        const entry = { at: new Date().toISOString(), actor, action, subject, data }
        const [row] = await db.insert(auditLog).values(entry).returning()
        return row as AuditEntry
      }),
    list: ({ subject, action, limit = DEFAULT_LIST_LIMIT } = {}) =>
      handle.use((db) => {
        const where = and(
          subject === undefined ? undefined : eq(auditLog.subject, safeText(subject)),
          action === undefined ? undefined : eq(auditLog.action, safeText(action)),
        )
        return db.select().from(auditLog).where(where).orderBy(desc(auditLog.id)).limit(limit)
      }),
  }
}
