import { errors as core, type KeyChanges, type KeyStore, type StoredKey } from '@tideway/core'
import { and, desc, eq, gt, isNull, lt, or, sql } from 'drizzle-orm'
import type { Db } from '../open/connection.js'
import type { Handle } from '../open/handle.js'
import { Remembered } from '../open/remembered.js'
import { apiKeys } from '../schema/keys.js'
import { safeText } from '../schema/safe.js'

export function keyStoreOn(handle: Handle): KeyStore {
  const changes = new Remembered<KeyChanges>(handle)
  async function change(make: (tx: Db) => Promise<StoredKey>): Promise<StoredKey> {
    const key = await handle.transaction(make)
    changes.wrote()
    return key
  }
  return {
    create: (key) =>
      change(async (tx) => {
        const revision = await nextRevision(tx)
        const [row] = await tx
          .insert(apiKeys)
          .values({ ...key, revision })
          .onConflictDoNothing({ target: apiKeys.id })
          .returning()
        if (row === undefined) throw core.KEY_EXISTS({ key: key.id })
        return keyOf(row)
      }),
    keys: () =>
      handle.use(async (db) =>
        (await db.select().from(apiKeys).orderBy(desc(apiKeys.createdAt), desc(apiKeys.revision))).map(keyOf),
      ),
    revoke: (id, at) =>
      change(async (tx) => {
        const revision = await nextRevision(tx)
        const mine = eq(apiKeys.id, safeText(id))
        await tx
          .update(apiKeys)
          .set({ revokedAt: at, revision })
          .where(and(mine, isNull(apiKeys.revokedAt)))
        const [row] = await tx.select().from(apiKeys).where(mine)
        if (row === undefined) throw core.KEY_NOT_FOUND({ key: id })
        return keyOf(row)
      }),
    used: (uses) =>
      handle.use(async (db) => {
        for (const { id, at } of uses)
          await db
            .update(apiKeys)
            .set({ lastUsedAt: at })
            .where(and(eq(apiKeys.id, safeText(id)), or(isNull(apiKeys.lastUsedAt), lt(apiKeys.lastUsedAt, at))))
      }),
    changes(since) {
      const ask = async (db: Db): Promise<KeyChanges> => {
        const rows = await db.select().from(apiKeys).where(gt(apiKeys.revision, since))
        return { keys: rows.map(keyOf), revision: rows.reduce((most, { revision }) => Math.max(most, revision), since) }
      }
      return changes.get(String(since), () => handle.use(ask))
    },
  }
}

/**
 * One change at a time, so that revisions are seen in their order: whoever has read up to one has missed none below it. Keys
 * are made and revoked by people; noting that they were used takes no revision.
 */
async function nextRevision(tx: Db): Promise<number> {
  await tx.execute(sql`lock table ${apiKeys} in share row exclusive mode`)
  const [row] = await tx.select({ newest: sql<string | null>`max(${apiKeys.revision})` }).from(apiKeys)
  return Number(row?.newest ?? 0) + 1
}

function keyOf(row: typeof apiKeys.$inferSelect): StoredKey {
  const { id, name, secretSha256, roles, models, devices, createdAt, createdBy, expiresAt, revokedAt, lastUsedAt } = row
  return {
    id,
    name,
    secretSha256,
    roles,
    createdAt,
    createdBy,
    ...(models !== null && { models }),
    ...(devices !== null && { devices }),
    ...(expiresAt !== null && { expiresAt }),
    ...(revokedAt !== null && { revokedAt }),
    ...(lastUsedAt !== null && { lastUsedAt }),
  }
}
