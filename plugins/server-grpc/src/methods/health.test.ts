import { once } from 'node:events'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { type ClientReadableStream, type ServiceError, status } from '@grpc/grpc-js'
import { errors } from '@tideway/core'
import { echoServing } from '@tideway/test/support/echo-serving'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as Serving,
} from '../generated/health_pb.js'
import { GRPCInferenceService } from '../generated/inference_pb.js'
import { bufferOf } from '../grpc/calls.js'
import { type Rig, refusalOf, startRig } from '../rig.fixture.js'

let isThere = true
let rig: Rig
const list = vi.fn(() => (isThere ? Promise.resolve([]) : Promise.reject(errors.STORE_UNAVAILABLE({ store: 'it' }))))

beforeEach(async () => {
  isThere = true
  rig = await startRig({
    serving: echoServing(),
    auditLog: { append: () => Promise.reject(new Error('not asked for')), list },
  })
})
afterEach(() => rig.stop())

function watch(service: string): ClientReadableStream<Serving> {
  const asked = Buffer.from(toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service })))
  const read = (bytes: Buffer) => fromBinary(HealthCheckResponseSchema, bytes).status
  return rig.client.makeServerStreamRequest(`/${Health.typeName}/Watch`, bufferOf, read, asked)
}

describe('Check', () => {
  it.each(['', GRPCInferenceService.typeName])('of %j serves while the store answers', async (service) => {
    expect(await rig.call(Health.method.check, { service })).toMatchObject({ status: Serving.SERVING })
    isThere = false
    expect(await rig.call(Health.method.check, { service })).toMatchObject({ status: Serving.NOT_SERVING })
  })

  it('does not find a service that is not here', async () => {
    expect(await refusalOf(rig.call(Health.method.check, { service: 'some.Other' }))).toMatchObject({
      code: status.NOT_FOUND,
      tidewayCode: 'GRPC_SERVICE_UNKNOWN',
    })
  })
})

describe('Watch', () => {
  it('tells at once, again when it changes, and for the last time when the server stops', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    try {
      const call = watch('')
      const told: Serving[] = []
      call.on('data', (health: Serving) => told.push(health))
      await once(call, 'data')
      isThere = false
      // Looked at twice, told once.
      vi.advanceTimersByTime(10_000)
      await once(call, 'data')
      isThere = true
      vi.advanceTimersByTime(5_000)
      await once(call, 'data')
      const ended = once(call, 'end')
      await Promise.all([rig.stopListening(), ended])
      expect(told).toEqual([Serving.SERVING, Serving.NOT_SERVING, Serving.SERVING, Serving.NOT_SERVING])
      const looks = list.mock.calls.length
      vi.advanceTimersByTime(60_000)
      expect(list).toHaveBeenCalledTimes(looks)
    } finally {
      vi.useRealTimers()
    }
  })

  it('of a service that is not here says that it is not known, and goes on', async () => {
    const call = watch('some.Other')
    const [told] = (await once(call, 'data')) as [Serving]
    expect(told).toBe(Serving.SERVICE_UNKNOWN)
    const failed = once(call, 'error') as Promise<[ServiceError]>
    call.cancel()
    expect((await failed)[0].code).toBe(status.CANCELLED)
  })
})
