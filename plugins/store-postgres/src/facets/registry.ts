import {
  type AliasRecord,
  checkId,
  errors as core,
  type ModelRecord,
  type Registry,
  type VersionRecord,
} from '@tideway/core'
import { and, asc, desc, eq } from 'drizzle-orm'
import type { Db } from '../open/connection.js'
import type { Handle } from '../open/handle.js'
import { Remembered } from '../open/remembered.js'
import { aliasMoves, models, versions } from '../schema/tables.js'

/** Largest version that the column holds; a larger number names no version. */
const MAX_VERSION = 2 ** 31 - 1

export function registryOn(handle: Handle): Registry {
  const listeners = new Set<(model: string) => void>()
  const resolved = new Remembered<VersionRecord>(handle)
  /** Runs in a transaction, and tells of the change once it is committed. */
  async function change<T>(model: string, make: (tx: Db) => Promise<T>): Promise<T> {
    const made = await handle.transaction(make)
    resolved.wrote()
    for (const listener of listeners) listener(model)
    return made
  }
  return {
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async register({ model, manifestDigest, runId, aliases = [] }) {
      checkId('model', model)
      for (const alias of aliases) checkAlias(alias)
      return change(model, async (tx) => {
        const at = new Date().toISOString()
        await tx
          .insert(models)
          .values({ name: model, displayName: model, createdAt: at, lastVersion: 0 })
          .onConflictDoNothing()
        const last = await lockModel(tx, model)
        const [known] = await tx.select().from(versions).where(digestIs(model, manifestDigest))
        const row =
          known ?? (await addVersion(tx, { model, version: last + 1, manifestDigest, runId: runId ?? null }, at))
        for (const alias of new Set(aliases)) await moveAlias(tx, model, alias, row.version, at)
        return { version: versionOf(row), created: known === undefined }
      })
    },
    models: () => handle.use(async (db) => (await db.select().from(models).orderBy(asc(models.name))).map(modelOf)),
    versions: (model) =>
      handle.use(async (db) => {
        await checkModel(db, model)
        const rows = await db.select().from(versions).where(eq(versions.model, model)).orderBy(asc(versions.version))
        return rows.map(versionOf)
      }),
    resolve: (model, versionOrAlias) => {
      const ask = async (db: Db): Promise<VersionRecord> => {
        const version = await numberOf(db, model, versionOrAlias)
        const [row] = version === undefined ? [] : await db.select().from(versions).where(versionIs(model, version))
        if (row !== undefined) return versionOf(row)
        await checkModel(db, model)
        throw core.VERSION_NOT_FOUND({ model, version: versionOrAlias })
      }
      return resolved.get(JSON.stringify([model, versionOrAlias]), () => handle.use(ask))
    },
    findByDigest: (manifestDigest) =>
      handle.use(async (db) => {
        const rows = db.select().from(versions).where(eq(versions.manifestDigest, manifestDigest))
        const [row] = await rows.orderBy(asc(versions.createdAt)).limit(1)
        return row && versionOf(row)
      }),
    async setAlias(model, alias, version) {
      checkAlias(alias)
      return change(model, async (tx) => {
        await lockModel(tx, model)
        const valid = Number.isInteger(version) && version <= MAX_VERSION
        const [row] = valid ? await tx.select().from(versions).where(versionIs(model, version)) : []
        if (row === undefined) throw core.VERSION_NOT_FOUND({ model, version: String(version) })
        return moveAlias(tx, model, alias, version, new Date().toISOString())
      })
    },
    aliases: (model) =>
      handle.use(async (db) => {
        await checkModel(db, model)
        const rows = db.selectDistinctOn([aliasMoves.alias]).from(aliasMoves).where(eq(aliasMoves.model, model))
        return (await rows.orderBy(asc(aliasMoves.alias), desc(aliasMoves.id))).map(aliasOf)
      }),
    aliasHistory: (model, alias) =>
      handle.use(async (db) => {
        await checkModel(db, model)
        return (await db.select().from(aliasMoves).where(aliasIs(model, alias)).orderBy(asc(aliasMoves.id))).map(
          aliasOf,
        )
      }),
  }
}

const versionIs = (model: string, version: number) => and(eq(versions.model, model), eq(versions.version, version))
const digestIs = (model: string, digest: string) => and(eq(versions.model, model), eq(versions.manifestDigest, digest))
const aliasIs = (model: string, alias: string) => and(eq(aliasMoves.model, model), eq(aliasMoves.alias, alias))

/** An alias is an id, and never a number, which would hide a version. */
function checkAlias(alias: string): void {
  checkId('alias', alias)
  if (/^\d+$/.test(alias)) throw core.NAME_INVALID({ noun: 'alias', name: alias })
}

/** Registrations and alias moves of one model happen one after the other. Answers its last version. */
async function lockModel(tx: Db, model: string): Promise<number> {
  const [row] = await tx.select().from(models).where(eq(models.name, model)).for('update')
  if (row === undefined) throw core.MODEL_NOT_FOUND({ model })
  return row.lastVersion
}

async function checkModel(db: Db, model: string): Promise<void> {
  const [row] = await db.select({ name: models.name }).from(models).where(eq(models.name, model))
  if (row === undefined) throw core.MODEL_NOT_FOUND({ model })
}

async function addVersion(tx: Db, row: Omit<typeof versions.$inferSelect, 'createdAt'>, createdAt: string) {
  await tx.insert(versions).values({ ...row, createdAt })
  await tx.update(models).set({ lastVersion: row.version }).where(eq(models.name, row.model))
  return { ...row, createdAt }
}

/** Pointing an alias at where it points already is no move. */
async function moveAlias(tx: Db, model: string, alias: string, version: number, at: string): Promise<AliasRecord> {
  const newest = tx.select().from(aliasMoves).where(aliasIs(model, alias))
  const [now] = await newest.orderBy(desc(aliasMoves.id)).limit(1)
  if (now?.version === version) return aliasOf(now)
  await tx.insert(aliasMoves).values({ model, alias, version, at })
  return { model, alias, version, at }
}

async function numberOf(db: Db, model: string, versionOrAlias: string): Promise<number | undefined> {
  if (/^\d+$/.test(versionOrAlias)) {
    const version = Number(versionOrAlias)
    return version <= MAX_VERSION && String(version) === versionOrAlias ? version : undefined
  }
  const newest = db.select().from(aliasMoves).where(aliasIs(model, versionOrAlias))
  const [row] = await newest.orderBy(desc(aliasMoves.id)).limit(1)
  return row?.version
}

const modelOf = ({ name, displayName, createdAt }: typeof models.$inferSelect): ModelRecord => ({
  name,
  displayName,
  createdAt,
})

const versionOf = ({ runId, ...row }: typeof versions.$inferSelect): VersionRecord =>
  runId === null ? row : { ...row, runId }

const aliasOf = ({ model, alias, version, at }: typeof aliasMoves.$inferSelect): AliasRecord => ({
  model,
  alias,
  version,
  at,
})
