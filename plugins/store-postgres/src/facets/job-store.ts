import { errors as core, type JobRecord, type JobStore } from '@tideway/core'
import { and, desc, eq, notInArray } from 'drizzle-orm'
import type { Db } from '../open/connection.js'
import type { Handle } from '../open/handle.js'
import { safeText } from '../schema/safe.js'
import { jobs } from '../schema/tables.js'

export function jobStoreOn(handle: Handle): JobStore {
  return {
    create: ({ id, model, spec }) =>
      handle.use(async (db) => {
        const at = new Date().toISOString()
        const job = { id, model, spec, status: 'queued' as const, createdAt: at, updatedAt: at }
        // A repeated call is harmless, as it is for the job's run.
        await db.insert(jobs).values(job).onConflictDoNothing()
        return findJob(db, id)
      }),
    update: (id, { status, checkpoint, progress, result, error, worker }) =>
      handle.use(async (db) => {
        const change = { status, checkpoint, progress, result, error, worker, updatedAt: new Date().toISOString() }
        const open = and(eq(jobs.id, safeText(id)), notInArray(jobs.status, ['finished', 'failed']))
        const [row] = await db.update(jobs).set(change).where(open).returning()
        return row === undefined ? findJob(db, id) : jobOf(row)
      }),
    job: (id) => handle.use((db) => findJob(db, id)),
    jobs: ({ status, limit } = {}) =>
      handle.use(async (db) => {
        const where = status === undefined ? undefined : eq(jobs.status, status)
        const found = db.select().from(jobs).where(where).orderBy(desc(jobs.order)).$dynamic()
        return (await (limit === undefined ? found : found.limit(limit))).map(jobOf)
      }),
  }
}

async function findJob(db: Db, id: string): Promise<JobRecord> {
  const [row] = await db
    .select()
    .from(jobs)
    .where(eq(jobs.id, safeText(id)))
  if (row === undefined) throw core.JOB_NOT_FOUND({ job: id })
  return jobOf(row)
}

function jobOf(row: typeof jobs.$inferSelect): JobRecord {
  const { id, model, status, spec, createdAt, updatedAt, checkpoint, progress, result, error, worker } = row
  return {
    id,
    model,
    status,
    spec,
    createdAt,
    updatedAt,
    ...(checkpoint === null ? {} : { checkpoint }),
    ...(progress === null ? {} : { progress }),
    ...(result === null ? {} : { result }),
    ...(error === null ? {} : { error }),
    ...(worker === null ? {} : { worker }),
  }
}
