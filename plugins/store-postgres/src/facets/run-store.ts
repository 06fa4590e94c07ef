import { errors as core, type MetricPoint, type RunRecord, type RunStatus, type RunStore } from '@tideway/core'
import { and, asc, desc, eq, inArray, type SQL, sql } from 'drizzle-orm'
import type { Db } from '../open/connection.js'
import type { Handle } from '../open/handle.js'
import { safeJson, safeText } from '../schema/safe.js'
import { experiments, lastMetrics, metricPoints, runs } from '../schema/tables.js'

const FINAL: readonly RunStatus[] = ['finished', 'failed', 'killed']

/** Rows of one statement: each has 5 parameters, and PostgreSQL takes 65,535. */
const MAX_ROWS_PER_STATEMENT = 4_000

export function runStoreOn(handle: Handle): RunStore {
  return {
    createRun: ({ id, experiment, name, params = {}, tags = {} }) =>
      handle.transaction(async (tx) => {
        const startedAt = new Date().toISOString()
        await tx.insert(experiments).values({ name: experiment, createdAt: startedAt }).onConflictDoNothing()
        const run = { id, experiment, name, status: 'running' as const, startedAt, params, tags }
        await tx.insert(runs).values(run).onConflictDoNothing()
        return runOf(tx, id)
      }),
    updateRun: (id, { status, tags, params }) =>
      handle.transaction(async (tx) => {
        const change = {
          ...(status === undefined ? {} : { status, endedAt: endedAt(status) }),
          ...(tags === undefined ? {} : { tags: sql`${runs.tags} || ${safeJson(tags)}::jsonb` }),
          ...(params === undefined ? {} : { params: sql`${runs.params} || ${safeJson(params)}::jsonb` }),
        }
        if (Object.keys(change).length > 0)
          await tx
            .update(runs)
            .set(change)
            .where(eq(runs.id, safeText(id)))
        return runOf(tx, id)
      }),
    logMetrics: (id, points) =>
      handle.transaction(async (tx) => {
        // Locked, so that the last value is that of the last point also when two log at once.
        const [row] = await tx
          .select({ id: runs.id })
          .from(runs)
          .where(eq(runs.id, safeText(id)))
          .for('update')
        if (row === undefined) throw core.RUN_NOT_FOUND({ run: id })
        for (let from = 0; from < points.length; from += MAX_ROWS_PER_STATEMENT)
          await insertPoints(tx, id, points.slice(from, from + MAX_ROWS_PER_STATEMENT))
      }),
    run: (id) => handle.use((db) => runOf(db, id)),
    runs: ({ experiment, limit } = {}) =>
      handle.use(async (db) => {
        const where = experiment === undefined ? undefined : eq(runs.experiment, safeText(experiment))
        const found = db.select().from(runs).where(where).orderBy(desc(runs.order)).$dynamic()
        return withMetrics(db, await (limit === undefined ? found : found.limit(limit)))
      }),
    metricHistory: (id, key) =>
      handle.use(async (db) => {
        const where = and(eq(metricPoints.run, safeText(id)), eq(metricPoints.key, safeText(key)))
        const rows = await db.select().from(metricPoints).where(where).orderBy(asc(metricPoints.id))
        if (rows.length === 0) await runOf(db, id)
        return rows.map(({ key, value, step, at }): MetricPoint => ({ key, value, step, at }))
      }),
  }
}

/** A run that is taken up again has not ended; one that has ended keeps its first end. */
function endedAt(status: RunStatus): SQL | null {
  if (!FINAL.includes(status)) return null
  return sql`coalesce(${runs.endedAt}, ${new Date().toISOString()}::timestamptz)`
}

async function insertPoints(tx: Db, run: string, points: readonly MetricPoint[]): Promise<void> {
  await tx.insert(metricPoints).values(points.map(({ key, value, step, at }) => ({ run, key, value, step, at })))
  const last = new Map(points.map(({ key, value }) => [safeText(key), value]))
  await tx
    .insert(lastMetrics)
    .values([...last].map(([key, value]) => ({ run, key, value })))
    .onConflictDoUpdate({ target: [lastMetrics.run, lastMetrics.key], set: { value: sql`excluded.value` } })
}

async function runOf(db: Db, id: string): Promise<RunRecord> {
  const rows = await db
    .select()
    .from(runs)
    .where(eq(runs.id, safeText(id)))
  const [run] = await withMetrics(db, rows)
  if (run === undefined) throw core.RUN_NOT_FOUND({ run: id })
  return run
}

async function withMetrics(db: Db, rows: readonly (typeof runs.$inferSelect)[]): Promise<RunRecord[]> {
  if (rows.length === 0) return []
  const ids = rows.map(({ id }) => id)
  const values = new Map<string, [string, number][]>(ids.map((id) => [id, []]))
  for (const { run, key, value } of await db.select().from(lastMetrics).where(inArray(lastMetrics.run, ids)))
    values.get(run)?.push([key, value])
  return rows.map(({ id, experiment, name, status, startedAt, endedAt, params, tags }) => ({
    id,
    experiment,
    name,
    status,
    startedAt,
    params,
    tags,
    ...(endedAt === null ? {} : { endedAt }),
    metrics: Object.fromEntries(values.get(id) ?? []),
  }))
}
