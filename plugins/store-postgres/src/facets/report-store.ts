import type { Envelope, ReportStore, StoredReport } from '@tideway/core'
import { and, asc, count, eq, gt, type SQL, sql } from 'drizzle-orm'
import { type Db, rowsOf } from '../open/connection.js'
import type { Handle } from '../open/handle.js'
import { safeText } from '../schema/safe.js'
import { reports } from '../schema/tables.js'

/** Key of the advisory lock under which appends take their ids and commit, one after the other. */
const APPEND_LOCK = 7_433_930

const DEFAULT_READ_LIMIT = 1_000

/**
 * Reports. Of a body, what PostgreSQL cannot hold is replaced when it is stored, see `safeJson`; the envelopes answered
 * as `fresh` are the caller's own.
 */
export function reportStoreOn(handle: Handle): ReportStore {
  return {
    async append(envelopes, receivedAt) {
      if (envelopes.length === 0) return { acks: [], fresh: [] }
      const byKey = new Map<string, Envelope>()
      for (const envelope of envelopes) if (!byKey.has(keyOf(envelope))) byKey.set(keyOf(envelope), envelope)
      const named = new Map(envelopes.map((envelope) => [bootOf(envelope), envelope]))
      return handle.transaction(async (tx) => {
        // An id taken earlier but committed later would be passed over by a reader's cursor.
        await tx.execute(sql`select pg_advisory_xact_lock(${APPEND_LOCK})`)
        const fresh = await insertNew(tx, [...byKey.values()], receivedAt)
        const contiguous = await advance(tx, [...named.values()])
        const acks = [...named].map(([boot, { fleet, device, boot: own }]) => ({
          fleet,
          device,
          ack: { v: 1 as const, boot: own, seq: contiguous.get(boot) ?? 0 },
        }))
        return { acks, fresh: [...byKey].filter(([key]) => fresh.has(key)).map(([, envelope]) => envelope) }
      })
    },
    read: ({ after, limit = DEFAULT_READ_LIMIT, ...filter }) =>
      handle.use(async (db) => {
        const where = and(...matching(filter), after === undefined ? undefined : gt(reports.id, after))
        const rows = await db.select().from(reports).where(where).orderBy(asc(reports.id)).limit(limit)
        return rows.map(({ id, envelope, receivedAt }): StoredReport => ({ id, envelope, receivedAt }))
      }),
    counts: (filter = {}) =>
      handle.use(async (db) => {
        const kinds = db.select({ kind: reports.kind, stored: count() }).from(reports)
        const rows = await kinds.where(and(...matching(filter))).groupBy(reports.kind)
        return Object.fromEntries(rows.map(({ kind, stored }) => [kind, stored]))
      }),
  }
}

// Ids hold no spaces.
const bootOf = ({ device, boot }: { device: string; boot: string }) => `${device} ${boot}`
const keyOf = (of: { device: string; boot: string; seq: number }) => `${bootOf(of)} ${of.seq}`

function matching(filter: { kind?: string; device?: string; fleet?: string; manifestDigest?: string }): SQL[] {
  const { kind, device, fleet, manifestDigest } = filter
  return [
    ...(kind === undefined ? [] : [eq(reports.kind, safeText(kind))]),
    ...(device === undefined ? [] : [eq(reports.device, device)]),
    ...(fleet === undefined ? [] : [eq(reports.fleet, fleet)]),
    ...(manifestDigest === undefined ? [] : [eq(reports.manifestDigest, manifestDigest)]),
  ]
}

/**
 * Keys of those that were not stored before. All rows travel as one parameter: for 256 reports, half of the time went
 * into building a statement with two thousand of them.
 */
async function insertNew(tx: Db, envelopes: readonly Envelope[], receivedAt: string): Promise<Set<string>> {
  const inserted = await tx.execute(sql`
    insert into reports (device, boot, seq, fleet, kind, manifest_digest, received_at, envelope)
    select e->>'device', e->>'boot', (e->>'seq')::bigint, e->>'fleet', e->>'kind', e->>'manifestDigest',
      ${sql.param(receivedAt, reports.receivedAt)}::timestamptz, e
    from jsonb_array_elements(${sql.param(envelopes, reports.envelope)}::jsonb) with ordinality as rows(e, place)
    order by place
    on conflict (device, boot, seq) do nothing
    returning device, boot, seq`)
  const rows = rowsOf<{ device: string; boot: string; seq: unknown }>(inserted)
  return new Set(rows.map(({ device, boot, seq }) => keyOf({ device, boot, seq: Number(seq) })))
}

/**
 * Moves the cursor of each (device, boot) over the rows that follow it, one index probe a step: the work is that of the
 * advance, whatever waits behind a gap. Answers the new cursors.
 */
async function advance(tx: Db, boots: readonly Envelope[]): Promise<Map<string, number>> {
  const named = JSON.stringify(boots.map(({ device, boot }) => ({ device, boot })))
  const result = await tx.execute(sql`
    with recursive named as (
      select device, boot from jsonb_to_recordset(${named}::jsonb) as n(device text, boot text)
    ), walk(device, boot, seq) as (
      select n.device, n.boot, coalesce(c.contiguous, 0)
      from named n left join report_cursors c on c.device = n.device and c.boot = n.boot
      union all
      select w.device, w.boot, next.seq
      from walk w cross join lateral (
        select r.seq from reports r
        where r.device = w.device and r.boot = w.boot and r.seq = w.seq + 1
        limit 1
      ) next
    )
    insert into report_cursors (device, boot, contiguous)
    select device, boot, max(seq) from walk group by device, boot
    on conflict (device, boot) do update set contiguous = excluded.contiguous
    returning device, boot, contiguous`)
  const rows = rowsOf<{ device: string; boot: string; contiguous: unknown }>(result)
  return new Map(rows.map((row) => [bootOf(row), Number(row.contiguous)]))
}
