import type { AuditEntry, AuditLog } from '@tideway/core'
import { and, desc, eq, lt } from 'drizzle-orm'
import type { Handle } from '../open/handle.js'
import { safeText } from '../schema/safe.js'
import { auditLog } from '../schema/tables.js'

const DEFAULT_LIST_LIMIT = 100

/** The audit log. The database itself refuses to change or remove an entry. */
export function auditLogOn(handle: Handle): AuditLog {
  return {
    append: ({ data = {}, ...entry }) =>
      handle.use(async (db) => {
        const [row] = await db
          .insert(auditLog)
          .values({ at: new Date().toISOString(), ...entry, data })
          .returning()
        return entryOf(row!)
      }),
    list: ({ subject, action, actor, before, limit = DEFAULT_LIST_LIMIT } = {}) =>
      handle.use(async (db) => {
        const where = and(
          subject === undefined ? undefined : eq(auditLog.subject, safeText(subject)),
          action === undefined ? undefined : eq(auditLog.action, safeText(action)),
          actor === undefined ? undefined : eq(auditLog.actor, safeText(actor)),
          before === undefined ? undefined : lt(auditLog.id, before),
        )
        return (await db.select().from(auditLog).where(where).orderBy(desc(auditLog.id)).limit(limit)).map(entryOf)
      }),
  }
}

function entryOf({ address, requestId, ...row }: typeof auditLog.$inferSelect): AuditEntry {
  return { ...row, ...(address !== null && { address }), ...(requestId !== null && { requestId }) }
}
