import { once } from 'node:events'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { type ServiceError, status } from '@grpc/grpc-js'
import type { Serving } from '@tideway/core'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  GRPCInferenceService,
  ModelInferRequestSchema,
  type ModelStreamInferResponse,
  ModelStreamInferResponseSchema,
} from '../generated/inference_pb.js'
import { floats, type RequestInit, rawRequest } from '../infer.fixture.js'
import { type Rig, startRig } from '../rig.fixture.js'

const STREAM = `/${GRPCInferenceService.typeName}/ModelStreamInfer`
const rigs: Rig[] = []
const echo = echoServing()
beforeEach(() => echo.takes(specOf('x', 'float32')))
afterEach(async () => {
  await Promise.all(rigs.splice(0).map((rig) => rig.stop()))
})

async function rigOf(infer: Serving['infer'] = (...call) => echo.infer(...call), options = {}): Promise<Rig> {
  const rig = await startRig({ serving: { ...echo, infer } }, options)
  rigs.push(rig)
  return rig
}

function open(rig: Rig) {
  const call = rig.stream(STREAM)
  const answers: ModelStreamInferResponse[] = []
  const ended = new Promise<{ code: status; tidewayCode: unknown }>((resolve) => {
    call.on('error', ({ code, metadata }: ServiceError) =>
      resolve({ code, tidewayCode: metadata.get('tideway-code')[0] }),
    )
    call.on('end', () => resolve({ code: status.OK, tidewayCode: undefined }))
  })
  call.on('data', (bytes: Buffer) => answers.push(fromBinary(ModelStreamInferResponseSchema, bytes)))
  const send = (request: RequestInit) =>
    call.write(toBinary(ModelInferRequestSchema, create(ModelInferRequestSchema, request)))
  return { call, answers, ended, send }
}

const numbered = (i: number, more: Partial<RequestInit> = {}) =>
  rawRequest({ x: floats(i) }, { id: String(i), ...(more as object) })
const idsOf = (answers: readonly ModelStreamInferResponse[]) => answers.map((answer) => answer.inferResponse?.id)

describe('a stream', () => {
  it('answers every request once and in its order, though they run side by side', async () => {
    let running = 0
    let most = 0
    const rig = await rigOf(async (model, version, inputs) => {
      most = Math.max(most, ++running)
      // Later ones are done first.
      await new Promise((resolve) => setTimeout(resolve, Number(inputs.x!.data[0]) % 2 === 0 ? 20 : 0))
      running--
      return echo.infer(model, version, inputs)
    })
    const { call, answers, ended, send } = open(rig)
    for (let i = 0; i < 100; i++) send(numbered(i))
    call.end()
    expect(await ended).toMatchObject({ code: status.OK })
    expect(idsOf(answers)).toEqual(Array.from({ length: 100 }, (_, i) => String(i)))
    const values = answers.map(({ inferResponse }) => Buffer.from(inferResponse!.rawOutputContents[0]!).readFloatLE())
    expect(values).toEqual(Array.from({ length: 100 }, (_, i) => i))
    expect(most).toBeGreaterThan(1)
    expect(most).toBeLessThanOrEqual(8)
  })

  it('says what is wrong with one request, and goes on', async () => {
    const { call, answers, ended, send } = open(await rigOf())
    send(numbered(0))
    send(numbered(1, { modelName: 'none' }))
    call.write(Uint8Array.of(0x0a, 0xff))
    send(numbered(3, { rawInputContents: [] }))
    send(numbered(4))
    call.end()
    await ended
    expect(answers.map(({ errorMessage }) => errorMessage.split('.')[0])).toEqual([
      '',
      'model none is not registered',
      expect.stringContaining('is no message of its type'),
      expect.stringContaining('inputs'),
      '',
    ])
    expect(idsOf(answers)).toEqual(['0', '1', '', '3', '4'])
    const code = answers[1]!.inferResponse!.parameters.tideway_code
    expect(code?.parameterChoice).toEqual({ case: 'stringParam', value: 'MODEL_NOT_FOUND' })
  })

  it('runs each of its requests under an id of its own', async () => {
    const ids: unknown[] = []
    const rig = await rigOf((model, version, inputs, context) => {
      ids.push(context?.requestId)
      return echo.infer(model, version, inputs)
    })
    const { call, ended, send } = open(rig)
    for (let i = 0; i < 3; i++) send(numbered(i))
    call.end()
    await ended
    expect(ids).toEqual([0, 1, 2].map((i) => expect.stringMatching(new RegExp(`^[0-9a-f-]{36}-\\d+/${i}$`))))
  })

  it('marks its one answer as the last where the request asks for that', async () => {
    const { call, answers, ended, send } = open(await rigOf())
    const asked = { parameterChoice: { case: 'boolParam' as const, value: true } }
    send(numbered(0, { parameters: { triton_enable_empty_final_response: asked } }))
    send(numbered(1))
    call.end()
    await ended
    const marks = answers.map(({ inferResponse }) => inferResponse!.parameters.triton_final_response)
    expect(marks[0]?.parameterChoice.value).toBe(true)
    expect(marks[1]).toBeUndefined()
  })

  it('reads no more than it runs while its client does not read', async () => {
    let asked = 0
    const large = { dtype: 'float32', shape: [500_000], data: new Float32Array(500_000) } as const
    const rig = await rigOf(async (model, version, inputs) => {
      asked++
      const { version: record } = await echo.infer(model, version, inputs)
      return { version: record, outputs: { x: large } }
    })
    const { call, answers, ended, send } = open(rig)
    call.pause()
    for (let i = 0; i < 60; i++) send(numbered(i))
    call.end()
    await expect.poll(() => asked).toBeGreaterThanOrEqual(8)
    // Two megabytes each; what gRPC's library and the two sockets hold is less than the half of all.
    const before = asked
    await new Promise((resolve) => setImmediate(resolve))
    expect(before).toBeLessThan(40)
    call.resume()
    await ended
    expect(answers).toHaveLength(60)
    expect(asked).toBe(60)
  })

  it('that is cancelled fires the signal of what runs', async () => {
    const signals: AbortSignal[] = []
    const rig = await rigOf((_model, _version, _inputs, context) => {
      signals.push(context!.signal!)
      return new Promise<never>(() => undefined)
    })
    const { call, ended, send } = open(rig)
    for (let i = 0; i < 3; i++) send(numbered(i))
    await expect.poll(() => signals.length).toBe(3)
    call.cancel()
    expect(await ended).toMatchObject({ code: status.CANCELLED })
    await expect.poll(() => signals.every(({ aborted }) => aborted)).toBe(true)
  })

  it('is ended when the server stops, with what it took answered', async () => {
    let go: () => void = () => undefined
    const gate = new Promise<void>((resolve) => (go = resolve))
    let asked = 0
    const rig = await rigOf(async (model, version, inputs) => {
      asked++
      await gate
      return echo.infer(model, version, inputs)
    })
    const { answers, ended, send } = open(rig)
    for (let i = 0; i < 3; i++) send(numbered(i))
    await expect.poll(() => asked).toBe(3)
    const [listener] = rigs.splice(0)
    const stopped = listener!.stopListening()
    go()
    expect(await ended).toEqual({ code: status.UNAVAILABLE, tidewayCode: 'GRPC_STOPPING' })
    expect(idsOf(answers)).toEqual(['0', '1', '2'])
    await stopped
    listener!.client.close()
  })
})

it('an open stream that is silent does not hold up the stop', async () => {
  const rig = await rigOf()
  const { call, answers, ended, send } = open(rig)
  send(numbered(0))
  await once(call, 'data')
  rigs.splice(0)
  await rig.stopListening()
  expect(await ended).toMatchObject({ code: status.UNAVAILABLE })
  expect(answers).toHaveLength(1)
  rig.client.close()
})
