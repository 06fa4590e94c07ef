import type { StoredKey } from '@tideway/core'
import { bigint, pgTable, text } from 'drizzle-orm/pg-core'
import { freeText, instant, json } from './columns.js'

/** API keys; of a secret only its digest. Keys are revoked and never removed, so that the audit log stays readable. */
export const apiKeys = pgTable('api_keys', {
  id: text().primaryKey(),
  name: freeText().notNull(),
  secretSha256: text().notNull(),
  roles: json().$type<StoredKey['roles']>().notNull(),
  models: json().$type<NonNullable<StoredKey['models']>>(),
  devices: json().$type<NonNullable<StoredKey['devices']>>(),
  createdAt: instant().notNull(),
  createdBy: freeText().notNull(),
  expiresAt: instant(),
  revokedAt: instant(),
  lastUsedAt: instant(),
  /** Rises over the table with each key that is made or revoked, in the order of their commits. */
  revision: bigint({ mode: 'number' }).notNull().unique(),
})
