import {
  ackSchema,
  errors as core,
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
      query: fleetQuery,
      answer: z.object({ devices: z.array(deviceRecord) }),
    },
    async ({ query }) => ({ devices: await need(services, 'deviceStore').devices(query) }),
  )
  jsonRoute(
    deps,
    { method: 'get', path: '/v1/devices/{id}', summary: 'One device', params: idParams, answer: deviceRecord },
    async ({ params }) => need(services, 'deviceStore').device(params.id),
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/devices/{id}/desired',
      summary: 'What a device should run; with its fleet it is registered as seen',
      params: idParams,
      query: fleetQuery,
      answer: desiredSchema,
    },
    async ({ params: { id }, query }) => {
      const devices = need(services, 'deviceStore')
      const seen = query.fleet ? devices.seen({ id, fleet: query.fleet, at: now() }) : devices.device(id)
      const { fleet } = await seen
      const desired = await devices.desired({ fleet, device: id })
      if (!desired) throw errors.DESIRED_NOT_SET({ device: id, fleet })
      return desired
    },
  )
  rawRoute(
    deps,
    {
      method: 'put',
      path: '/v1/devices/{id}/reported',
      summary: 'What a device says that it runs; an older word than the last is ignored',
      params: idParams,
      body: reportedSchema,
      responses: { 204: { description: 'Taken' } },
    },
    async ({ c, params, body }) => {
      const devices = need(services, 'deviceStore')
      checkDevice(params.id, [body.device])
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
      params: idParams,
      body: z.object({ reports: z.array(envelopeSchema).min(1).max(wire.maxReportsPerRequest) }),
      answer: acksAnswer,
    },
    async ({ params, body, bodyBytes }) => {
      const intake = need(services, 'intake')
      checkDevice(
        params.id,
        body.reports.map((report) => report.device),
      )
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
      query: z.strictObject({
        device: idSchema.optional(),
        fleet: idSchema.optional(),
        digest: sha256Schema.optional(),
      }),
      answer: z.object({ counts: z.record(z.string(), z.int()).readonly() }),
    },
    async ({ query: { digest, ...filter } }) => ({
      counts: await need(services, 'reportStore').counts({ ...filter, manifestDigest: digest }),
    }),
  )
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
