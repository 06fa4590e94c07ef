import { errors as core, type TrafficRecord, type TrafficStore } from '@tideway/core'
import { asc, desc, eq, gt, sql } from 'drizzle-orm'
import type { Db } from '../open/connection.js'
import type { Handle } from '../open/handle.js'
import { Remembered } from '../open/remembered.js'
import { models } from '../schema/tables.js'
import { trafficPolicies } from '../schema/traffic.js'

export function trafficStoreOn(handle: Handle): TrafficStore {
  const since = new Remembered<readonly TrafficRecord[]>(handle)
  return {
    async set({ after, model, policy, salt, test, actor }) {
      const record = await handle.transaction(async (tx) => {
        // One writer at a time, whatever the model: ids become visible in their order.
        await tx.execute(sql`lock table ${trafficPolicies} in share row exclusive mode`)
        await checkModel(tx, model)
        const standing = await newest(tx, model)
        if (standing?.id !== after) throw core.TRAFFIC_CHANGED({ model })
        const row = { model, policy, salt, test: test ?? null, actor, at: new Date().toISOString() }
        const [written] = await tx.insert(trafficPolicies).values(row).returning()
        return recordOf(written as typeof trafficPolicies.$inferSelect)
      })
      since.wrote()
      return record
    },
    current: (model) => handle.use((db) => newest(db, model)),
    async since(id) {
      const ask = async (db: Db) => {
        const rows = await db
          .selectDistinctOn([trafficPolicies.model])
          .from(trafficPolicies)
          .where(gt(trafficPolicies.id, id))
          .orderBy(asc(trafficPolicies.model), desc(trafficPolicies.id))
        return rows.map(recordOf).sort((a, b) => a.id - b.id)
      }
      return [...(await since.get(String(id), () => handle.use(ask)))]
    },
    history: (model) =>
      handle.use(async (db) => {
        await checkModel(db, model)
        const rows = db.select().from(trafficPolicies).where(eq(trafficPolicies.model, model))
        return (await rows.orderBy(asc(trafficPolicies.id))).map(recordOf)
      }),
  }
}

async function newest(db: Db, model: string): Promise<TrafficRecord | undefined> {
  const rows = db.select().from(trafficPolicies).where(eq(trafficPolicies.model, model))
  const [row] = await rows.orderBy(desc(trafficPolicies.id)).limit(1)
  return row && recordOf(row)
}

async function checkModel(db: Db, model: string): Promise<void> {
  const [row] = await db.select({ name: models.name }).from(models).where(eq(models.name, model))
  if (row === undefined) throw core.MODEL_NOT_FOUND({ model })
}

const recordOf = ({ test, ...row }: typeof trafficPolicies.$inferSelect): TrafficRecord =>
  test === null ? row : { ...row, test }
