import { once } from 'node:events'
import { create, toBinary } from '@bufbuild/protobuf'
import { compressionAlgorithms, status } from '@grpc/grpc-js'
import { errors, type InferContext, type Logger, type Serving, silentLogger } from '@tideway/core'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { GRPCInferenceService, ModelInferRequestSchema } from './generated/inference_pb.js'
import { floats, rawRequest } from './infer.fixture.js'
import { type Rig, refusalOf, startRig } from './rig.fixture.js'

const { method } = GRPCInferenceService
const INFER = `/${GRPCInferenceService.typeName}/ModelInfer`

const rigs: Rig[] = []
const echo = echoServing()
beforeEach(() => echo.takes(specOf('x', 'float32')))
afterEach(async () => {
  await Promise.all(rigs.splice(0).map((rig) => rig.stop()))
})

async function rigOf(infer: Serving['infer'], options = {}, logger: Logger = silentLogger): Promise<Rig> {
  const rig = await startRig({ serving: { ...echo, infer }, logger }, options)
  rigs.push(rig)
  return rig
}

const request = rawRequest({ x: floats(1, 2) })

describe('a call', () => {
  it('hands its deadline on, on the clock of performance.now', async () => {
    const contexts: (InferContext | undefined)[] = []
    const rig = await rigOf((model, version, inputs, context) => {
      contexts.push(context)
      return echo.infer(model, version, inputs)
    })
    await rig.call(method.modelInfer, request, { options: { deadline: Date.now() + 20_000 } })
    await rig.call(method.modelInfer, request)
    // Microseconds, as in Triton; the shorter of both holds.
    const timeout = { timeout: { parameterChoice: { case: 'int64Param' as const, value: 5_000_000n } } }
    await rig.call(method.modelInfer, { ...request, parameters: timeout } as typeof request, {
      options: { deadline: Date.now() + 20_000 },
    })
    expect(contexts[2]!.deadlineMs! - performance.now()).toBeLessThan(5_000)
    const left = contexts[0]!.deadlineMs! - performance.now()
    expect(left).toBeGreaterThan(10_000)
    expect(left).toBeLessThan(20_100)
    expect(contexts[1]!.deadlineMs).toBeUndefined()
    expect(contexts[1]!.signal!.aborted).toBe(false)
  })

  it('hands on the key that keeps it with a version, and that a kept answer will not do', async () => {
    const contexts: (InferContext | undefined)[] = []
    const rig = await rigOf(async (model, version, inputs, context) => {
      contexts.push(context)
      return { ...(await echo.infer(model, version, inputs)), unit: context?.stickyKey }
    })
    const metadata = { 'x-tideway-key': 'customer 17', 'cache-control': 'no-cache' }
    const { parameters } = await rig.call(method.modelInfer, request, { metadata })
    expect(parameters.tideway_unit?.parameterChoice.value).toBe('customer 17')
    expect((await rig.call(method.modelInfer, request)).parameters).toEqual({})
    expect(contexts[0]).toMatchObject({ stickyKey: 'customer 17', noCache: true })
    expect(contexts[1]).toMatchObject({ stickyKey: undefined, noCache: undefined })
    const long = { metadata: { 'x-tideway-key': 'x'.repeat(257) } }
    expect(await refusalOf(rig.call(method.modelInfer, request, long))).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('metadata x-tideway-key'),
    })
  })

  it('hands on the key under the name that is configured, as of a header', async () => {
    const keys: (string | undefined)[] = []
    const infer: Serving['infer'] = (model, version, inputs, context) => {
      keys.push(context?.stickyKey)
      return echo.infer(model, version, inputs)
    }
    const rig = await rigOf(infer, { stickyHeader: 'X-User-Id' })
    for (const name of ['x-user-id', 'x-tideway-key'])
      await rig.call(method.modelInfer, request, { metadata: { [name]: 'customer 17' } })
    expect(keys).toEqual(['customer 17', undefined])
  })

  it('that is late ends with DEADLINE_EXCEEDED, and nobody waits for its run', async () => {
    let begun: (signal: AbortSignal) => void = () => undefined
    const started = new Promise<AbortSignal>((resolve) => (begun = resolve))
    const error = vi.fn()
    const rig = await rigOf(
      async (_model, _version, _inputs, context) => {
        const signal = context!.signal!
        begun(signal)
        await once(signal, 'abort')
        throw new Error('it was given up')
      },
      {},
      { ...silentLogger, error },
    )
    const late = untilLate(started, (metadata) => rig.call(method.modelInfer, request, { metadata }))
    expect(await refusalOf(late)).toMatchObject({ code: status.DEADLINE_EXCEEDED })
    const signal = await started
    await expect.poll(() => signal.aborted).toBe(true)
    expect(error).not.toHaveBeenCalled()
  })

  it('that is cancelled fires its signal', async () => {
    let begun: (signal: AbortSignal) => void = () => undefined
    const started = new Promise<AbortSignal>((resolve) => (begun = resolve))
    const rig = await rigOf((_model, _version, _inputs, context) => {
      begun(context!.signal!)
      return new Promise<never>(() => undefined)
    })
    const message = Buffer.from(toBinary(ModelInferRequestSchema, create(ModelInferRequestSchema, request)))
    const same = (bytes: Buffer) => bytes
    const call = rig.client.makeUnaryRequest(INFER, same, same, message, () => undefined)
    const signal = await started
    expect(signal.aborted).toBe(false)
    call.cancel()
    await once(signal, 'abort')
  })

  it('that is to come again is told when', async () => {
    const rig = await rigOf(async () => {
      throw Object.assign(errors.RUN_FAILED({ reason: 'busy' }), { status: 429, data: { retryAfterMs: 40 } })
    })
    const refusal = await refusalOf(rig.call(method.modelInfer, request))
    expect(refusal.code).toBe(status.RESOURCE_EXHAUSTED)
    expect(refusal.metadata.get('grpc-retry-pushback-ms')).toEqual(['40'])
  })

  it('that is to come again does so by itself where the client has a policy to retry', async () => {
    let asked = 0
    const rig = await rigOf(async (model, version, inputs) => {
      asked += 1
      if (asked > 2) return echo.infer(model, version, inputs)
      throw Object.assign(errors.RUN_FAILED({ reason: 'busy' }), { status: 429, data: { retryAfterMs: 40 } })
    })
    // Its own pauses are far longer than the test.
    const pauses = { initialBackoff: '900s', maxBackoff: '900s', backoffMultiplier: 1 }
    const retryPolicy = { maxAttempts: 4, ...pauses, retryableStatusCodes: ['RESOURCE_EXHAUSTED'] }
    const patient = rig.another({
      'grpc.service_config': JSON.stringify({ loadBalancingConfig: [], methodConfig: [{ name: [{}], retryPolicy }] }),
    })
    const began = performance.now()
    expect(await patient.call(method.modelInfer, request)).toMatchObject({ modelName: 'echo' })
    expect(asked).toBe(3)
    expect(performance.now() - began).toBeGreaterThan(75)
  })

  it('that fails for a reason of ours alone tells a request id and nothing else', async () => {
    const error = vi.fn()
    const rig = await rigOf(() => Promise.reject(new TypeError('a secret')), {}, { ...silentLogger, error })
    const refusal = await refusalOf(rig.call(method.modelInfer, request))
    expect(refusal).toMatchObject({ code: status.INTERNAL, tidewayCode: 'INTERNAL' })
    expect(refusal.details).not.toContain('secret')
    const { requestId } = error.mock.calls[0]![1] as { requestId: string }
    expect(refusal.details).toContain(requestId)
  })

  it('of a method or service that is not here is UNIMPLEMENTED', async () => {
    const rig = await rigOf(echo.infer)
    for (const path of [`/${GRPCInferenceService.typeName}/SystemSharedMemoryStatus`, '/some.Service/Method'])
      expect(await refusalOf(rig.bytes(path, new Uint8Array()))).toMatchObject({ code: status.UNIMPLEMENTED })
  })
})

describe('limits', () => {
  it('hold for a message of inference while it arrives, and for what it decompresses to', async () => {
    const rig = await rigOf((model, version, inputs) => echo.infer(model, version, inputs), {
      limits: { maxInferMessageBytes: 100_000 },
    })
    const rows = (count: number) =>
      rawRequest({ x: { dtype: 'float32', shape: [count], data: new Float32Array(count) } })
    expect(await rig.call(method.modelInfer, rows(24_000))).toMatchObject({ modelName: 'echo' })
    expect(await refusalOf(rig.call(method.modelInfer, rows(26_000)))).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    })
    const zipped = rig.another({ 'grpc.default_compression_algorithm': compressionAlgorithms.gzip })
    expect(await zipped.call(method.modelInfer, rows(24_000))).toMatchObject({ modelName: 'echo' })
    expect(await refusalOf(zipped.call(method.modelInfer, rows(26_000)))).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringContaining('decompresses to'),
    })
  })

  it('are smaller for the messages of other methods', async () => {
    const rig = await rigOf(echo.infer, { limits: { maxMessageBytes: 100 } })
    const name = 'x'.repeat(200)
    expect(await refusalOf(rig.call(method.modelMetadata, { name }))).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      tidewayCode: 'TOO_LARGE',
    })
  })
})

it('many calls at once are each answered with their own', async () => {
  const rig = await rigOf(async (model, version, inputs) => {
    // The first take longest.
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, 20 - Number(inputs.x!.data[0]))))
    return echo.infer(model, version, inputs)
  })
  const ask = async (i: number) => {
    const { id, rawOutputContents } = await rig.call(method.modelInfer, rawRequest({ x: floats(i) }, { id: String(i) }))
    return [id, Buffer.from(rawOutputContents[0]!).readFloatLE()]
  }
  const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => ask(i)))
  expect(answers).toEqual(Array.from({ length: 300 }, (_, i) => [String(i), i]))
})

/**
 * Makes a call whose deadline passes as soon as `isThere`: so the server has begun with it, however slow the machine is. It is
 * given as metadata, so that the server alone knows of it.
 */
async function untilLate<T>(
  isThere: Promise<unknown>,
  call: (metadata: Readonly<Record<string, string>>) => Promise<T>,
): Promise<T> {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const answer = call({ 'grpc-timeout': '60S' })
    await isThere
    vi.advanceTimersByTime(60_000)
    return await answer
  } finally {
    vi.useRealTimers()
  }
}
