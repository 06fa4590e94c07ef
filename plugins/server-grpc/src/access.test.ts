import { once } from 'node:events'
import { create, toBinary } from '@bufbuild/protobuf'
import { status } from '@grpc/grpc-js'
import { type Access, type Actor, type AuditEntry, errors, type LogData, silentLogger } from '@tideway/core'
import { PrometheusMetrics } from '@tideway/metrics-prometheus'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { GRPCInferenceService, ModelInferRequestSchema } from './generated/inference_pb.js'
import { floats, rawRequest } from './infer.fixture.js'
import { type Rig, refusalOf, startRig } from './rig.fixture.js'

const { method } = GRPCInferenceService
const actors: Readonly<Record<string, Actor>> = {
  viewer: { name: 'key:viewer', roles: ['viewer'] },
  operator: { name: 'key:operator', roles: ['operator'] },
  device: { name: 'key:device', roles: ['device'] },
  elsewhere: { name: 'key:elsewhere', roles: ['operator'], models: ['another'] },
}
/** Knows these by their names; `later` at a later time. */
const access: Access = {
  required: true,
  identify({ authorization = '' }) {
    const name = authorization.replace(/^Bearer /, '')
    if (name === 'later') return Promise.resolve(actors.viewer!)
    if (name === 'never') return Promise.reject(errors.TOKEN_EXPIRED({}))
    const actor = actors[name]
    if (!actor) throw errors.UNAUTHORIZED({ given: name !== '' })
    return actor
  },
}
const as = (name: string) => ({ metadata: { authorization: `Bearer ${name}`, 'x-request-id': 'id' } })

const serving = echoServing()
const audited: Omit<AuditEntry, 'id' | 'at'>[] = []
const auditLog = {
  list: () => Promise.resolve([]),
  append: (entry: (typeof audited)[number]) => {
    audited.push(entry)
    return Promise.resolve({ ...entry, id: 1, at: '' } as unknown as AuditEntry)
  },
}
let rig: Rig
beforeAll(async () => {
  serving.takes(specOf('x', 'float32'))
  rig = await startRig({ serving, access, auditLog, logger, metrics })
})
afterAll(() => rig?.stop())
beforeEach(() => audited.splice(0))

const request = rawRequest({ x: floats(1) })
const refusals: unknown[] = []
const metrics = new PrometheusMetrics({ maxSeries: 100 })
const logger = { ...silentLogger, warn: (message: string, data?: LogData) => void refusals.push([message, data]) }
const name = 'echo'

describe('who has the role', () => {
  it('viewer reads and infers, and changes nothing', async () => {
    expect(await rig.call(method.modelInfer, request, as('viewer'))).toMatchObject({ modelName: 'echo' })
    expect(await rig.call(method.modelReady, { name }, as('viewer'))).toMatchObject({ ready: true })
    const [load, unload] = [method.repositoryModelLoad, method.repositoryModelUnload]
    const refused = { code: status.PERMISSION_DENIED, tidewayCode: 'ROLE_REQUIRED' }
    expect(await refusalOf(rig.call(load, { modelName: 'echo' }, as('viewer')))).toMatchObject(refused)
    expect(await refusalOf(rig.call(unload, { modelName: 'echo' }, as('viewer')))).toMatchObject(refused)
    expect(await rig.call(method.modelReady, { name }, as('viewer'))).toMatchObject({ ready: true })
  })

  it('operator loads and unloads too, which the audit log has with its origin', async () => {
    await rig.call(method.repositoryModelUnload, { modelName: 'echo' }, as('operator'))
    await rig.call(method.repositoryModelLoad, { modelName: 'echo' }, as('operator'))
    const origin = { actor: 'key:operator', address: '127.0.0.1', requestId: 'id', subject: 'echo' }
    expect(audited).toMatchObject([
      { ...origin, action: 'model.unload' },
      { ...origin, action: 'model.load' },
    ])
  })

  it('device has no business here', async () => {
    expect(await refusalOf(rig.call(method.serverMetadata, {}, as('device')))).toMatchObject({
      code: status.PERMISSION_DENIED,
      tidewayCode: 'ROLE_REQUIRED',
    })
    expect(await rig.call(method.serverLive, {}, as('device'))).toMatchObject({ live: true })
  })
})

describe('what is refused', () => {
  const path = '/inference.GRPCInferenceService/ModelInfer'
  const counted = async (code: string) =>
    Number(
      (await metrics.read()).text.match(new RegExp(`tideway_requests_refused_total\\{code="${code}"\\} (\\d+)`))?.[1] ??
        0,
    )

  it.each([
    ['nobody', { code: 'UNAUTHORIZED', actor: 'anyone' }],
    ['device', { code: 'ROLE_REQUIRED', actor: 'key:device' }],
    ['elsewhere', { code: 'MODEL_FORBIDDEN', actor: 'key:elsewhere' }],
  ])('to %s is in the log and counted, as over HTTP', async (who, told) => {
    const before = await counted(told.code)
    refusals.splice(0)
    await refusalOf(rig.call(method.modelInfer, request, as(who)))
    expect(refusals).toEqual([['a request was refused', { path, address: '127.0.0.1', requestId: 'id', ...told }]])
    expect(await counted(told.code)).toBe(before + 1)
  })

  it('on a stream is so for each request, and what fails for another reason is not', async () => {
    refusals.splice(0)
    const stream = rig.stream('/inference.GRPCInferenceService/ModelStreamInfer', as('elsewhere'))
    const message = Buffer.from(toBinary(ModelInferRequestSchema, create(ModelInferRequestSchema, request)))
    stream.resume()
    for (const sent of [message, message, Buffer.of(0xff)]) stream.write(sent)
    stream.end()
    await once(stream, 'status')
    const told = {
      path: path.replace('ModelInfer', 'ModelStreamInfer'),
      code: 'MODEL_FORBIDDEN',
      actor: 'key:elsewhere',
    }
    expect(refusals).toEqual(
      [0, 1].map((at) => ['a request was refused', { ...told, address: '127.0.0.1', requestId: `id/${at}` }]),
    )
  })
})

describe('who is kept to other models', () => {
  const target = { name, version: '1' }
  it.each([
    ['ModelInfer', () => rig.call(method.modelInfer, request, as('elsewhere'))],
    ['ModelReady', () => rig.call(method.modelReady, target, as('elsewhere'))],
    ['ModelMetadata', () => rig.call(method.modelMetadata, target, as('elsewhere'))],
    ['ModelStatistics', () => rig.call(method.modelStatistics, target, as('elsewhere'))],
    ['RepositoryModelLoad', () => rig.call(method.repositoryModelLoad, { modelName: 'echo' }, as('elsewhere'))],
    ['RepositoryModelUnload', () => rig.call(method.repositoryModelUnload, { modelName: 'echo' }, as('elsewhere'))],
  ])('is refused by %s', async (_, call) => {
    expect(await refusalOf(call())).toMatchObject({ code: status.PERMISSION_DENIED, tidewayCode: 'MODEL_FORBIDDEN' })
    expect(audited).toEqual([])
  })

  it('does not see this one in lists', async () => {
    expect((await rig.call(method.repositoryIndex, {}, as('elsewhere'))).models).toEqual([])
    expect((await rig.call(method.repositoryIndex, {}, as('viewer'))).models).toHaveLength(2)
    expect((await rig.call(method.modelStatistics, {}, as('elsewhere'))).modelStats).toEqual([])
    expect((await rig.call(method.modelStatistics, {}, as('viewer'))).modelStats).toHaveLength(2)
  })
})

it('who is known only later is waited for, with what it sent', async () => {
  expect(await rig.call(method.modelInfer, request, as('later'))).toMatchObject({ modelName: 'echo' })
  expect(await refusalOf(rig.call(method.modelInfer, request, as('never')))).toMatchObject({
    code: status.UNAUTHENTICATED,
    tidewayCode: 'TOKEN_EXPIRED',
  })
})
