import type { AuditEntry, DesiredState, Envelope, JobRecord, ReportedState, RunRecord } from '@tideway/core'
import { bigint, doublePrecision, index, integer, pgTable, primaryKey, text, unique } from 'drizzle-orm/pg-core'
import { freeText, instant, json } from './columns.js'

/** Rises in order of writing; all readers' cursors and all "newest first" orders are by it, never by a clock. */
const order = () => bigint({ mode: 'number' }).generatedAlwaysAsIdentity()

export const models = pgTable('models', {
  name: text().primaryKey(),
  displayName: freeText().notNull(),
  createdAt: instant().notNull(),
  /** The row is locked while it rises, so versions count without gaps. */
  lastVersion: integer().notNull(),
})

/** Never updated or deleted: a trigger refuses it. */
export const versions = pgTable(
  'versions',
  {
    model: text()
      .notNull()
      .references(() => models.name),
    version: integer().notNull(),
    manifestDigest: text().notNull(),
    runId: freeText(),
    createdAt: instant().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.model, t.version] }),
    unique().on(t.model, t.manifestDigest),
    index().on(t.manifestDigest),
  ],
)

/** Every move of an alias, the newest being where it points. Never updated or deleted: a trigger refuses it. */
export const aliasMoves = pgTable(
  'alias_moves',
  {
    id: order().primaryKey(),
    model: text()
      .notNull()
      .references(() => models.name),
    alias: text().notNull(),
    version: integer().notNull(),
    at: instant().notNull(),
  },
  (t) => [index().on(t.model, t.alias, t.id)],
)

export const blobs = pgTable('blobs', {
  sha256: text().primaryKey(),
  size: bigint({ mode: 'number' }).notNull(),
  chunks: json().$type<{ sha256: string; size: number }[]>().notNull(),
})

/** `generation` is the newest one given out in the fleet. */
export const fleets = pgTable('fleets', {
  name: text().primaryKey(),
  generation: bigint({ mode: 'number' }).notNull(),
})

export const devices = pgTable(
  'devices',
  {
    id: text().primaryKey(),
    fleet: text().notNull(),
    firstSeenAt: instant().notNull(),
    lastSeenAt: instant().notNull(),
    reported: json().$type<ReportedState>(),
    reportedAt: instant(),
  },
  (t) => [index().on(t.fleet)],
)

/** `device` is empty for the fleet's default. */
export const desiredStates = pgTable(
  'desired_states',
  {
    fleet: text().notNull(),
    device: text().notNull(),
    state: json().$type<DesiredState>().notNull(),
  },
  (t) => [primaryKey({ columns: [t.fleet, t.device] })],
)

export const reports = pgTable(
  'reports',
  {
    id: order().primaryKey(),
    device: text().notNull(),
    boot: text().notNull(),
    seq: bigint({ mode: 'number' }).notNull(),
    fleet: text().notNull(),
    kind: freeText().notNull(),
    manifestDigest: text(),
    receivedAt: instant().notNull(),
    /** All of it, also the fields that this release does not know. */
    envelope: json().$type<Envelope>().notNull(),
  },
  (t) => [unique().on(t.device, t.boot, t.seq), index().on(t.manifestDigest, t.id)],
)

/** `contiguous`: every sequence from 1 to it is stored. */
export const reportCursors = pgTable(
  'report_cursors',
  {
    device: text().notNull(),
    boot: text().notNull(),
    contiguous: bigint({ mode: 'number' }).notNull(),
  },
  (t) => [primaryKey({ columns: [t.device, t.boot] })],
)

export const experiments = pgTable('experiments', {
  name: freeText().primaryKey(),
  createdAt: instant().notNull(),
})

export const runs = pgTable(
  'runs',
  {
    id: freeText().primaryKey(),
    order: order(),
    experiment: freeText()
      .notNull()
      .references(() => experiments.name),
    name: freeText().notNull(),
    status: text().$type<RunRecord['status']>().notNull(),
    startedAt: instant().notNull(),
    endedAt: instant(),
    params: json().$type<RunRecord['params']>().notNull(),
    tags: json().$type<RunRecord['tags']>().notNull(),
  },
  (t) => [index().on(t.experiment, t.order), index().on(t.order)],
)

export const metricPoints = pgTable(
  'metric_points',
  {
    id: order().primaryKey(),
    run: freeText()
      .notNull()
      .references(() => runs.id),
    key: freeText().notNull(),
    value: doublePrecision().notNull(),
    step: bigint({ mode: 'number' }).notNull(),
    at: instant().notNull(),
  },
  (t) => [index().on(t.run, t.key, t.id)],
)

/** The last value of each metric, so that listing runs does not read their histories. */
export const lastMetrics = pgTable(
  'last_metrics',
  {
    run: freeText()
      .notNull()
      .references(() => runs.id),
    key: freeText().notNull(),
    value: doublePrecision().notNull(),
  },
  (t) => [primaryKey({ columns: [t.run, t.key] })],
)

export const jobs = pgTable(
  'jobs',
  {
    id: freeText().primaryKey(),
    order: order(),
    model: text().notNull(),
    status: text().$type<JobRecord['status']>().notNull(),
    spec: json().$type<JobRecord['spec']>().notNull(),
    checkpoint: json().$type<NonNullable<JobRecord['checkpoint']>>(),
    progress: json().$type<NonNullable<JobRecord['progress']>>(),
    result: json().$type<NonNullable<JobRecord['result']>>(),
    error: json().$type<NonNullable<JobRecord['error']>>(),
    worker: freeText(),
    createdAt: instant().notNull(),
    updatedAt: instant().notNull(),
  },
  (t) => [index().on(t.order)],
)

/** Never updated, deleted or truncated: a trigger refuses it. */
export const auditLog = pgTable(
  'audit_log',
  {
    id: order().primaryKey(),
    at: instant().notNull(),
    actor: freeText().notNull(),
    address: freeText(),
    requestId: freeText(),
    action: freeText().notNull(),
    subject: freeText().notNull(),
    data: json().$type<AuditEntry['data']>().notNull(),
  },
  (t) => [index().on(t.subject, t.id)],
)
