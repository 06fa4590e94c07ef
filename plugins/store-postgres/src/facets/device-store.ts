import type { DesiredModel, DesiredState, DeviceRecord, DeviceStore } from '@tideway/core'
import { errors as core } from '@tideway/core'
import { and, asc, eq, inArray, sql } from 'drizzle-orm'
import type { Db } from '../open/connection.js'
import type { Handle } from '../open/handle.js'
import { desiredStates, devices, fleets } from '../schema/tables.js'

/** In place of a device, for the fleet's default: an id is never empty. */
const DEFAULT = ''

export function deviceStoreOn(handle: Handle): DeviceStore {
  return {
    seen: ({ id, fleet, at }) =>
      handle.use(async (db) => {
        const [row] = await db
          .insert(devices)
          .values({ id, fleet, firstSeenAt: at, lastSeenAt: at })
          .onConflictDoUpdate({
            target: devices.id,
            set: {
              // What arrives late does not move a device back.
              fleet: sql`case when excluded.last_seen_at >= ${devices.lastSeenAt} then excluded.fleet else ${devices.fleet} end`,
              firstSeenAt: sql`least(${devices.firstSeenAt}, excluded.first_seen_at)`,
              lastSeenAt: sql`greatest(${devices.lastSeenAt}, excluded.last_seen_at)`,
            },
          })
          .returning()
        if (row === undefined) throw core.DEVICE_NOT_FOUND({ device: id })
        return deviceOf(row)
      }),
    setReported: (reported) =>
      handle.use(async (db) => {
        const { device: id, fleet, at } = reported
        await db
          .insert(devices)
          .values({ id, fleet, firstSeenAt: at, lastSeenAt: at, reported, reportedAt: at })
          .onConflictDoUpdate({
            target: devices.id,
            set: { reported: sql`excluded.reported`, reportedAt: sql`excluded.reported_at` },
            setWhere: sql`${devices.reportedAt} is null or ${devices.reportedAt} <= excluded.reported_at`,
          })
      }),
    device: (id) =>
      handle.use(async (db) => {
        const [row] = await db.select().from(devices).where(eq(devices.id, id))
        if (row === undefined) throw core.DEVICE_NOT_FOUND({ device: id })
        return deviceOf(row)
      }),
    devices: ({ fleet } = {}) =>
      handle.use(async (db) => {
        const where = fleet === undefined ? undefined : eq(devices.fleet, fleet)
        return (await db.select().from(devices).where(where).orderBy(asc(devices.id))).map(deviceOf)
      }),
    setDesired: ({ fleet, device = DEFAULT }, models) =>
      handle.transaction(async (tx) => {
        const generation = await nextGeneration(tx, fleet)
        const before = await desiredOf(tx, fleet, device)
        const state: DesiredState = {
          v: 1,
          generation,
          models: merged(before?.models ?? {}, models),
          issuedAt: new Date().toISOString(),
        }
        await tx
          .insert(desiredStates)
          .values({ fleet, device, state })
          .onConflictDoUpdate({ target: [desiredStates.fleet, desiredStates.device], set: { state } })
        return state
      }),
    desired: ({ fleet, device = DEFAULT }) => handle.use((db) => desiredOf(db, fleet, device)),
    allDesired: () =>
      handle.use(async (db) => {
        const rows = await db.select().from(desiredStates).orderBy(asc(desiredStates.fleet), asc(desiredStates.device))
        return rows.map(({ fleet, device, state: desired }) =>
          device === DEFAULT ? { fleet, desired } : { fleet, device, desired },
        )
      }),
  }
}

/** Locks the fleet's row, so that generations of a fleet are given out and stored one after the other. */
async function nextGeneration(tx: Db, fleet: string): Promise<number> {
  const [row] = await tx
    .insert(fleets)
    .values({ name: fleet, generation: 1 })
    .onConflictDoUpdate({ target: fleets.name, set: { generation: sql`${fleets.generation} + 1` } })
    .returning()
  return row?.generation ?? 1
}

/**
 * The device's own, else its fleet's default: also what a device's first own state starts from, so that wanting one
 * model of one device does not take its others away.
 */
async function desiredOf(db: Db, fleet: string, device: string): Promise<DesiredState | undefined> {
  const own = and(eq(desiredStates.fleet, fleet), inArray(desiredStates.device, [device, DEFAULT]))
  const rows = await db.select().from(desiredStates).where(own)
  return (rows.find((row) => row.device === device) ?? rows[0])?.state
}

function merged(
  before: Readonly<Record<string, DesiredModel>>,
  models: Readonly<Record<string, DesiredModel>>,
): Record<string, DesiredModel> {
  return Object.fromEntries([...Object.entries(before), ...Object.entries(models)])
}

function deviceOf(row: typeof devices.$inferSelect): DeviceRecord {
  const { id, fleet, firstSeenAt, lastSeenAt, reported } = row
  return { id, fleet, firstSeenAt, lastSeenAt, ...(reported === null ? {} : { reported }) }
}
