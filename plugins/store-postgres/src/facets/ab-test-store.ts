import { type AbOutcome, type AbReceipt, type AbTestRecord, type AbTestStore, errors as core } from '@tideway/core'
import { and, asc, count, desc, eq, gt, inArray, sql } from 'drizzle-orm'
import type { Db } from '../open/connection.js'
import type { Handle } from '../open/handle.js'
import { safeText } from '../schema/safe.js'
import { models } from '../schema/tables.js'
import { abTests, abUnits } from '../schema/traffic.js'

/** Rows of one statement: each has at most 4 parameters, and PostgreSQL takes 65,535. */
const MAX_ROWS_PER_STATEMENT = 4_000
const DEFAULT_OUTCOMES = 10_000

export function abTestStoreOn(handle: Handle): AbTestStore {
  return {
    create: ({ id, model, control, treatment, salt, actor, ...declared }) =>
      handle.transaction(async (tx) => {
        // Two that start at once for one model come one after the other.
        const [known] = await tx.select({ name: models.name }).from(models).where(eq(models.name, model)).for('update')
        if (known === undefined) throw core.MODEL_NOT_FOUND({ model })
        const [running] = await tx
          .select()
          .from(abTests)
          .where(and(eq(abTests.model, model), isRunning))
        if (running !== undefined) throw core.AB_TEST_RUNNING({ model, test: running.id })
        const begun = {
          status: 'running' as const,
          startedAt: new Date().toISOString(),
          lastOutcome: 0,
          unknownOutcomes: 0,
        }
        const row = { id, model, control, treatment, salt, actor, declared, ...begun }
        const [written] = await tx.insert(abTests).values(row).returning()
        return recordOf(written as Row)
      }),
    end: (id, status) =>
      handle.transaction(async (tx) => {
        const row = await locked(tx, id)
        if (row.status !== 'running') return recordOf(row)
        const change = { status, endedAt: new Date().toISOString() }
        const [ended] = await tx.update(abTests).set(change).where(eq(abTests.id, id)).returning()
        return recordOf(ended as Row)
      }),
    newest: (model) =>
      handle.use(async (db) => {
        const [row] = await newestFirst(db, model).limit(1)
        if (row === undefined) throw core.AB_TEST_NOT_FOUND({ model })
        return recordOf(row)
      }),
    tests: (model) => handle.use(async (db) => (await newestFirst(db, model)).map(recordOf)),
    expose: (id, units) =>
      handle.use(async (db) => {
        for (const some of parts(units)) {
          const rows = some.map((unit) => ({ test: id, unit }))
          await db.insert(abUnits).values(rows).onConflictDoNothing()
        }
      }),
    report: (id, outcomes) => handle.transaction((tx) => report(tx, id, outcomes)),
    outcomes: (id, after = 0, limit = DEFAULT_OUTCOMES) =>
      handle.use(async (db) => {
        const where = and(eq(abUnits.test, id), gt(abUnits.outcome, after))
        const rows = await db.select().from(abUnits).where(where).orderBy(asc(abUnits.outcome)).limit(limit)
        return rows.map(({ unit, value, outcome }) => ({ id: unit, value: value as number, order: outcome as number }))
      }),
    counts: (id) =>
      handle.use(async (db) => {
        const [units] = await db.select({ exposed: count() }).from(abUnits).where(eq(abUnits.test, id))
        const [test] = await db.select().from(abTests).where(eq(abTests.id, id))
        return { exposed: units?.exposed ?? 0, unknown: test?.unknownOutcomes ?? 0 }
      }),
  }
}

type Row = typeof abTests.$inferSelect

const isRunning = eq(abTests.status, 'running')
const newestFirst = (db: Db, model: string) =>
  db.select().from(abTests).where(eq(abTests.model, model)).orderBy(desc(abTests.order))

/** Outcomes of one test are stored one batch after the other, and none once it has ended. */
async function locked(tx: Db, id: string): Promise<Row> {
  const [row] = await tx.select().from(abTests).where(eq(abTests.id, id)).for('update')
  if (row === undefined) throw core.AB_TEST_NOT_FOUND({ model: id })
  return row
}

async function report(tx: Db, id: string, outcomes: readonly AbOutcome[]): Promise<AbReceipt> {
  const test = await locked(tx, id)
  if (test.status !== 'running') throw core.AB_TEST_ENDED({ model: test.model, test: id, status: test.status })
  const given = outcomes.map((outcome) => ({ ...outcome, unit: safeText(outcome.id) }))
  const known = await valuesOf(tx, id, [...new Set(given.map(({ unit }) => unit))])
  const fresh: { test: string; unit: string; value: number; outcome: number }[] = []
  const [unknown, conflicting]: [string[], string[]] = [[], []]
  let repeated = 0
  for (const { id: name, unit, value } of given) {
    const stored = known.get(unit)
    if (stored === undefined) unknown.push(name)
    else if (stored === null) {
      known.set(unit, value)
      fresh.push({ test: id, unit, value, outcome: test.lastOutcome + fresh.length + 1 })
    } else if (stored === value) repeated++
    else conflicting.push(name)
  }
  for (const rows of parts(fresh))
    await tx
      .insert(abUnits)
      .values(rows)
      .onConflictDoUpdate({
        target: [abUnits.test, abUnits.unit],
        set: { value: sql`excluded.value`, outcome: sql`excluded.outcome` },
      })
  const counters = {
    lastOutcome: test.lastOutcome + fresh.length,
    unknownOutcomes: test.unknownOutcomes + unknown.length,
  }
  await tx.update(abTests).set(counters).where(eq(abTests.id, id))
  return { accepted: fresh.length, repeated, conflicting, unknown }
}

/** By unit that is known; null where it has no outcome. */
async function valuesOf(tx: Db, id: string, units: readonly string[]): Promise<Map<string, number | null>> {
  const known = new Map<string, number | null>()
  for (const some of parts(units)) {
    const where = and(eq(abUnits.test, id), inArray(abUnits.unit, some))
    for (const { unit, value } of await tx.select().from(abUnits).where(where)) known.set(unit, value)
  }
  return known
}

function parts<T>(all: readonly T[]): T[][] {
  const count = Math.ceil(all.length / MAX_ROWS_PER_STATEMENT)
  return Array.from({ length: count }, (_, at) =>
    all.slice(at * MAX_ROWS_PER_STATEMENT, (at + 1) * MAX_ROWS_PER_STATEMENT),
  )
}

function recordOf({ declared, endedAt, ...row }: Row): AbTestRecord {
  const { id, model, control, treatment, salt, status, actor, startedAt } = row
  const record = { id, model, control, treatment, ...declared, salt, status, actor, startedAt }
  return endedAt === null ? record : { ...record, endedAt }
}
