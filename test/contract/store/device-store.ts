import type { DesiredModel, DeviceStore, ReportedState } from '@tideway/core'
import { desiredSchema } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { after, NOON, type Subject, unique, uniqueDigest } from './fixture.js'

function reportedOf(device: string, fleet: string, at: string, generation = 1): ReportedState {
  const digits = { status: 'active' as const, manifestDigest: uniqueDigest(), version: 1, variant: 'int8' }
  return { v: 1, device, fleet, generation, models: { digits }, at, runtime: { name: 'null' } }
}

function wanted(version: number): DesiredModel {
  return { version, manifestDigest: uniqueDigest() }
}

/** The suite that every `DeviceStore` runs. */
export function deviceStoreContract(name: string, devices: Subject<DeviceStore>): void {
  describe(`device store contract: ${name}`, () => {
    it('registers a device when it is first seen and refreshes it after', async () => {
      const [id, fleet] = [unique('device'), unique('fleet')]
      const first = await devices().seen({ id, fleet, at: NOON })
      expect(first).toEqual({ id, fleet, firstSeenAt: NOON, lastSeenAt: NOON })
      const second = await devices().seen({ id, fleet, at: after(1234) })
      expect(second).toEqual({ id, fleet, firstSeenAt: NOON, lastSeenAt: after(1234) })
      expect(await devices().device(id)).toEqual(second)
    })

    it('moves a device that moved fleet, and not back for what arrives late', async () => {
      const [id, before, now] = [unique('device'), unique('fleet'), unique('fleet')]
      await devices().seen({ id, fleet: before, at: NOON })
      await devices().seen({ id, fleet: now, at: after(1000) })
      const late = await devices().seen({ id, fleet: before, at: after(500) })
      expect(late).toMatchObject({ fleet: now, firstSeenAt: NOON, lastSeenAt: after(1000) })
      expect(await devices().devices({ fleet: before })).toEqual([])
      expect((await devices().devices({ fleet: now })).map((record) => record.id)).toEqual([id])
    })

    it('registers one device when it is seen many times at once', async () => {
      const [id, fleet] = [unique('device'), unique('fleet')]
      await Promise.all(Array.from({ length: 12 }, (_, i) => devices().seen({ id, fleet, at: after(i) })))
      expect(await devices().devices({ fleet })).toEqual([{ id, fleet, firstSeenAt: NOON, lastSeenAt: after(11) }])
    })

    it('refuses a device that is not known with DEVICE_NOT_FOUND', async () => {
      const device = unique('device')
      await expect(devices().device(device)).rejects.toMatchObject({ code: 'DEVICE_NOT_FOUND', data: { device } })
    })

    it('lists the devices of one fleet, or of all', async () => {
      const [one, other] = [unique('fleet'), unique('fleet')]
      const ids = [unique('device'), unique('device')].toSorted()
      for (const id of ids) await devices().seen({ id, fleet: one, at: NOON })
      const elsewhere = unique('device')
      await devices().seen({ id: elsewhere, fleet: other, at: NOON })
      expect((await devices().devices({ fleet: one })).map((record) => record.id)).toEqual(ids)
      expect((await devices().devices()).map((record) => record.id)).toEqual(
        expect.arrayContaining([...ids, elsewhere]),
      )
      expect(await devices().devices({ fleet: unique('fleet') })).toEqual([])
    })

    it('keeps the newest reported state by its time, fields that it does not know included', async () => {
      const [id, fleet] = [unique('device'), unique('fleet')]
      await devices().seen({ id, fleet, at: NOON })
      const newest = { ...reportedOf(id, fleet, after(2000), 2), ofTheFuture: { kept: [1, null, 'é'] } }
      for (const reported of [reportedOf(id, fleet, after(1000)), newest, reportedOf(id, fleet, after(1500))])
        await devices().setReported(reported)
      expect((await devices().device(id)).reported).toEqual(newest)
      const replacement = reportedOf(id, fleet, after(2000), 3)
      await devices().setReported(replacement)
      expect((await devices().device(id)).reported).toEqual(replacement)
    })

    it('takes a reported state from a device not seen before, which is known from then on', async () => {
      const [id, fleet] = [unique('device'), unique('fleet')]
      const reported = reportedOf(id, fleet, NOON)
      await devices().setReported(reported)
      expect(await devices().device(id)).toMatchObject({ id, fleet, reported })
    })

    it('sets the desired state of a fleet, which holds for every device without its own', async () => {
      const fleet = unique('fleet')
      expect(await devices().desired({ fleet })).toBeUndefined()
      expect(await devices().desired({ fleet, device: unique('device') })).toBeUndefined()
      const digits = { ...wanted(1), variant: 'int8' }
      const state = await devices().setDesired({ fleet }, { digits })
      expect(state).toMatchObject({ v: 1, generation: 1, models: { digits } })
      expect(desiredSchema.parse(state)).toEqual(state)
      expect(await devices().desired({ fleet })).toEqual(state)
      expect(await devices().desired({ fleet, device: unique('device') })).toEqual(state)
    })

    it('merges models, so that wanting one leaves the others', async () => {
      const fleet = unique('fleet')
      const [digits, power, newer] = [wanted(1), wanted(4), wanted(2)]
      await devices().setDesired({ fleet }, { digits, power })
      const { models } = await devices().setDesired({ fleet }, { digits: newer })
      expect(models).toEqual({ digits: newer, power })
    })

    it("starts a device's own state from its fleet's, and keeps it when the fleet's changes", async () => {
      const [fleet, device] = [unique('fleet'), unique('device')]
      const [digits, power, own, later] = [wanted(1), wanted(1), wanted(2), wanted(3)]
      await devices().setDesired({ fleet }, { digits, power })
      const state = await devices().setDesired({ fleet, device }, { digits: own })
      expect(state.models).toEqual({ digits: own, power })
      await devices().setDesired({ fleet }, { digits: later })
      expect(await devices().desired({ fleet, device })).toEqual(state)
      expect((await devices().desired({ fleet }))?.models).toEqual({ digits: later, power })
    })

    it('lets generations rise over the whole fleet, also back to an older version and also at once', async () => {
      const fleet = unique('fleet')
      const targets = Array.from({ length: 20 }, (_, i) => (i % 2 ? { fleet, device: `device-${i}` } : { fleet }))
      const states = await Promise.all(targets.map((target) => devices().setDesired(target, { digits: wanted(1) })))
      const generations = states.map((state) => state.generation).toSorted((a, b) => a - b)
      expect(generations).toEqual(targets.map((_, i) => i + 1))
      expect((await devices().desired({ fleet }))?.generation).toBe(
        Math.max(...states.filter((_, i) => i % 2 === 0).map((state) => state.generation)),
      )
      expect((await devices().setDesired({ fleet: unique('fleet') }, {})).generation).toBe(1)
    })

    it('loses no model when many are set at once', async () => {
      const fleet = unique('fleet')
      const names = Array.from({ length: 12 }, (_, i) => `model-${i}`)
      await Promise.all(names.map((model) => devices().setDesired({ fleet }, { [model]: wanted(1) })))
      expect(Object.keys((await devices().desired({ fleet }))?.models ?? {}).toSorted()).toEqual(names.toSorted())
    })

    it('lists every desired state of every fleet', async () => {
      const [fleet, other, device] = [unique('fleet'), unique('fleet'), unique('device')]
      const forFleet = await devices().setDesired({ fleet }, { digits: wanted(1) })
      const forDevice = await devices().setDesired({ fleet, device }, { digits: wanted(2) })
      const forOther = await devices().setDesired({ fleet: other }, { digits: wanted(3) })
      const all = (await devices().allDesired()).filter((entry) => [fleet, other].includes(entry.fleet))
      expect(all).toHaveLength(3)
      expect(all).toContainEqual({ fleet, desired: forFleet })
      expect(all).toContainEqual({ fleet, device, desired: forDevice })
      expect(all).toContainEqual({ fleet: other, desired: forOther })
    })
  })
}
