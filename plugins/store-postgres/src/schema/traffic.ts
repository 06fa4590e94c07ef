import type { AbStatus, AbTestRecord, TrafficPolicy } from '@tideway/core'
import { bigint, doublePrecision, index, integer, pgTable, primaryKey, text, uniqueIndex } from 'drizzle-orm/pg-core'
import { freeText, instant, json } from './columns.js'
import { models } from './tables.js'

const modelName = () =>
  text()
    .notNull()
    .references(() => models.name)

/** Every policy that was set, a model's newest being the one that stands. Never updated or deleted: a trigger refuses it. */
export const trafficPolicies = pgTable(
  'traffic_policies',
  {
    /** Written one after the other, so that a reader's cursor misses none. */
    id: bigint({ mode: 'number' }).generatedAlwaysAsIdentity().primaryKey(),
    model: modelName(),
    policy: json().$type<TrafficPolicy>().notNull(),
    salt: freeText().notNull(),
    test: text(),
    actor: freeText().notNull(),
    at: instant().notNull(),
  },
  (t) => [index().on(t.model, t.id)],
)

/** What is declared of a test beside its versions. */
type Declared = Pick<AbTestRecord, 'metric' | 'better' | 'leastEffect' | 'alpha' | 'beta' | 'split' | 'maxUnits'>

export const abTests = pgTable(
  'ab_tests',
  {
    id: text().primaryKey(),
    order: bigint({ mode: 'number' }).generatedAlwaysAsIdentity(),
    model: modelName(),
    control: integer().notNull(),
    treatment: integer().notNull(),
    declared: json().$type<Declared>().notNull(),
    salt: freeText().notNull(),
    status: text().$type<AbStatus>().notNull(),
    actor: freeText().notNull(),
    startedAt: instant().notNull(),
    endedAt: instant(),
    /** The row is locked while it rises, so outcomes can be read by it as a cursor. */
    lastOutcome: bigint({ mode: 'number' }).notNull(),
    unknownOutcomes: bigint({ mode: 'number' }).notNull(),
  },
  (t) => [index().on(t.model, t.order)],
)

/** The units that were answered under a test; those without `outcome` have none so far. */
export const abUnits = pgTable(
  'ab_units',
  {
    test: text()
      .notNull()
      .references(() => abTests.id),
    unit: freeText().notNull(),
    value: doublePrecision(),
    outcome: bigint({ mode: 'number' }),
  },
  (t) => [primaryKey({ columns: [t.test, t.unit] }), uniqueIndex().on(t.test, t.outcome)],
)
