import {
  type Actor,
  ackSchema,
  allowsDevice,
  allowsModel,
  codeOf,
  errors as core,
  type DeviceRecord,
  type DeviceStore,
  desiredSchema,
  type Envelope,
  envelopeSchema,
  idSchema,
  reportedSchema,
  sha256Schema,
  limits as wire,
} from '@tideway/core'
import { z } from 'zod'
import { errors } from '../errors.js'
import { demand, demandAllModels, demandDevice } from '../http/access.js'
import { type Deps, jsonRoute, rawRoute } from '../http/route.js'
import { deviceRecord, idParams } from '../schemas.js'
import { need } from '../services.js'

const fleetQuery = z.strictObject({ fleet: idSchema.optional() })
const acksAnswer = z.object({ acks: z.array(z.object({ fleet: z.string(), device: z.string(), ack: ackSchema })) })

export function deviceRoutes(deps: Deps): void {
  const { services } = deps
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/devices',
      summary: 'Every device, of one fleet or of all, and what it says that it runs',
      role: 'viewer',
      query: fleetQuery,
      answer: z.object({ devices: z.array(deviceRecord) }),
    },
    async ({ query, caller: { actor } }) => {
      const devices = await need(services, 'deviceStore').devices(query)
      const allowed = devices.filter(({ fleet, id }) => allowsDevice(actor, fleet, id))
      return { devices: allowed.map((device) => seenBy(actor, device)) }
    },
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/devices/{id}',
      summary: 'One device',
      role: 'viewer',
      params: idParams,
      answer: deviceRecord,
    },
    async ({ params, caller }) => {
      const device = await need(services, 'deviceStore').device(params.id)
      demandDevice(caller.actor, device.fleet, device.id)
      return seenBy(caller.actor, device)
    },
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/devices/{id}/desired',
      summary: 'What a device should run; with its fleet it is registered as seen',
      role: ['viewer', 'device'],
      params: idParams,
      query: fleetQuery,
      answer: desiredSchema,
    },
    async ({ params: { id }, query, caller: { actor } }) => {
      const devices = need(services, 'deviceStore')
      if (query.fleet) {
        // To be seen is to say that one is this device.
        demand(actor, 'device')
        await demandIdentity(devices, actor, query.fleet, id)
      }
      const seen = query.fleet ? devices.seen({ id, fleet: query.fleet, at: now() }) : devices.device(id)
      const { fleet } = await seen
      demandDevice(actor, fleet, id)
      const desired = await devices.desired({ fleet, device: id })
      if (!desired) throw errors.DESIRED_NOT_SET({ device: id, fleet })
      // A device runs all of it; who looks on sees of it what is for them.
      return query.fleet ? desired : { ...desired, models: modelsFor(actor, desired.models) }
    },
  )
  rawRoute(
    deps,
    {
      method: 'put',
      path: '/v1/devices/{id}/reported',
      summary: 'What a device says that it runs; an older word than the last is ignored',
      role: 'device',
      unaudited: 'what devices say is kept with the device',
      params: idParams,
      body: reportedSchema,
      responses: { 204: { description: 'Taken' } },
    },
    async ({ c, params, body, caller: { actor } }) => {
      const devices = need(services, 'deviceStore')
      checkDevice(params.id, [body.device])
      await demandIdentity(devices, actor, body.fleet, body.device)
      await devices.seen({ id: body.device, fleet: body.fleet, at: now() })
      await devices.setReported(body)
      return c.body(null, 204)
    },
  )
  jsonRoute(
    deps,
    {
      method: 'post',
      path: '/v1/devices/{id}/reports',
      summary: 'Reports of a device; the acknowledgements in the answer are sent after the store has committed',
      role: 'device',
      unaudited: 'reports are a log themselves',
      params: idParams,
      body: z.object({ reports: z.array(envelopeSchema).min(1).max(wire.maxReportsPerRequest) }),
      answer: acksAnswer,
    },
    async ({ params, body, bodyBytes, caller: { actor } }) => {
      const intake = need(services, 'intake')
      checkDevice(
        params.id,
        body.reports.map((report) => report.device),
      )
      const fleets = new Set(body.reports.map(({ fleet }) => fleet))
      for (const fleet of fleets) await demandIdentity(services.deviceStore, actor, fleet, params.id)
      if (bodyBytes > wire.maxReportBytes) for (const report of body.reports) checkSize(report)
      const { acks } = await intake.accept(body.reports, now())
      return { acks }
    },
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/reports/counts',
      summary: 'How many reports are stored, by kind',
      role: 'viewer',
      query: z.strictObject({
        device: idSchema.optional(),
        fleet: idSchema.optional(),
        digest: sha256Schema.optional(),
      }),
      answer: z.object({ counts: z.record(z.string(), z.int()).readonly() }),
    },
    async ({ query: { digest, ...filter }, caller: { actor } }) => {
      demandAllModels(actor, 'how many reports are stored')
      demandDevice(actor, filter.fleet ?? '*', filter.device ?? '*')
      return { counts: await need(services, 'reportStore').counts({ ...filter, manifestDigest: digest }) }
    },
  )
}

/** A device without what it says of models that are not for this actor. */
function seenBy(actor: Actor, device: DeviceRecord): DeviceRecord {
  const { reported } = device
  return reported === undefined
    ? device
    : { ...device, reported: { ...reported, models: modelsFor(actor, reported.models) } }
}

function modelsFor<T>(actor: Actor, models: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(models).filter(([model]) => allowsModel(actor, model)))
}

/**
 * Whoever speaks for a device must do so for the fleet in which it is, and for the one that it says it is in: a key of one
 * fleet can take no device of another. Throws `DEVICE_FORBIDDEN`.
 */
async function demandIdentity(
  devices: DeviceStore | undefined,
  actor: Actor,
  fleet: string,
  id: string,
): Promise<void> {
  demandDevice(actor, fleet, id)
  if (actor.devices === undefined || devices === undefined) return
  const known = await devices.device(id).catch((error: unknown) => {
    if (codeOf(error) !== 'DEVICE_NOT_FOUND') throw error
  })
  if (known) demandDevice(actor, known.fleet, id)
}

function checkDevice(device: string, bodyDevices: readonly string[]): void {
  const others = [...new Set(bodyDevices)].filter((id) => id !== device)
  if (others.length > 0) throw errors.DEVICE_PATH_MISMATCH({ device, bodyDevices: others })
}

function checkSize(report: Envelope): void {
  const bytes = Buffer.byteLength(JSON.stringify(report))
  if (bytes > wire.maxReportBytes)
    throw core.TOO_LARGE({ what: `report ${report.seq} of boot ${report.boot}`, bytes, maxBytes: wire.maxReportBytes })
}

function now(): string {
  return new Date().toISOString()
}
