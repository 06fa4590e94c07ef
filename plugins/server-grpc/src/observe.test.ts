import { once } from 'node:events'
import { status } from '@grpc/grpc-js'
import {
  type InferContext,
  type LogData,
  type Logger,
  type Serving,
  type Span,
  type SpanAttributes,
  silentLogger,
  type TraceHeaders,
  type Tracer,
} from '@tideway/core'
import { PrometheusMetrics } from '@tideway/metrics-prometheus'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterEach, describe, expect, it } from 'vitest'
import { GRPCInferenceService } from './generated/inference_pb.js'
import { floats, rawRequest } from './infer.fixture.js'
import { type Rig, refusalOf, startRig } from './rig.fixture.js'

const { method } = GRPCInferenceService
const KEY = 'a-key-that-is-long-enough'
const request = rawRequest({ x: floats(1) })

let rig: Rig | undefined
afterEach(async () => {
  await rig?.stop()
  rig = undefined
})

async function observed(options: Record<string, unknown> = {}, infer?: Serving['infer']) {
  const echo = echoServing()
  echo.takes(specOf('x', 'float32'))
  const lines: (LogData & { message: string })[] = []
  const log = (message: string, data?: LogData) => void lines.push({ ...data, message })
  const logger: Logger = { ...silentLogger, info: log, error: log }
  const metrics = new PrometheusMetrics({ maxSeries: 100 })
  const spans: { name: string; caller?: TraceHeaders; attributes: SpanAttributes; failed?: string; ended: boolean }[] =
    []
  const tracer: Tracer = {
    start(name, { attributes = {}, caller } = {}) {
      const traced = { name, attributes, caller, ended: false, failed: undefined as string | undefined }
      spans.push(traced)
      const span: Span = {
        context: { traceId: 'ab'.repeat(16), spanId: 'cd'.repeat(8) },
        child: () => span,
        set: (more) => void (traced.attributes = { ...traced.attributes, ...more }),
        fail: (code) => void (traced.failed = code),
        end: () => void (traced.ended = true),
      }
      return span
    },
  }
  const contexts: InferContext[] = []
  const serving: Serving = {
    ...echo,
    infer(...[model, version, inputs, context]) {
      contexts.push(context!)
      return infer ? infer(model, version, inputs, context) : echo.infer(model, version, inputs)
    },
  }
  rig = await startRig({ serving, logger, metrics, tracer }, options)
  const counted = async () =>
    [...(await metrics.read()).text.matchAll(/^rpc_server_call_duration_seconds_count\{(.*)\} (\d+)$/gm)].map(
      ([, labels, count]) => `${labels?.replaceAll('inference.GRPCInferenceService/', '')} ${count}`,
    )
  return { rig, lines, spans, contexts, counted }
}

/** What the trailing metadata of a call that is answered tell. */
async function trailerOf(at: Rig, metadata: Readonly<Record<string, string>>) {
  const call = at.stream(`/${GRPCInferenceService.typeName}/ModelStreamInfer`, { metadata })
  call.resume()
  const told = once(call, 'status') as Promise<[{ code: status; metadata: { get(key: string): unknown[] } }]>
  call.end()
  const [{ metadata: trailer }] = await told
  return trailer.get('x-request-id')
}

describe('a call', () => {
  it('goes by the id that its client gave, if it gave a good one', async () => {
    const { rig: at, contexts } = await observed()
    expect(await trailerOf(at, { 'x-request-id': 'mine-1' })).toEqual(['mine-1'])
    expect(await trailerOf(at, { 'x-request-id': 'not mine' })).toEqual([expect.stringMatching(/^[0-9a-f-]{36}-\d+$/)])
    await at.call(method.modelInfer, request, { metadata: { 'x-request-id': 'mine-2' } })
    expect(contexts[0]?.requestId).toBe('mine-2')
    const none = { metadata: { 'x-request-id': 'mine-3' } }
    const refusal = await refusalOf(at.call(method.modelMetadata, { name: 'none' }, none))
    expect(refusal.metadata.get('x-request-id')).toEqual(['mine-3'])
  })

  it('is counted by its method and how it ended', async () => {
    const { rig: at, counted } = await observed(
      { access: { apiKeys: [KEY] } },
      () => new Promise<never>(() => undefined),
    )
    await refusalOf(at.call(method.modelMetadata, { name: 'echo' }))
    const metadata = { authorization: `Bearer ${KEY}` }
    for (const name of ['echo', 'echo', 'none'])
      await at.call(method.modelMetadata, { name }, { metadata }).catch(() => undefined)
    // As metadata, so that the server alone knows of it: a client would cancel the call at the same moment.
    const late = { metadata: { ...metadata, 'grpc-timeout': '100m' } }
    expect(await refusalOf(at.call(method.modelInfer, request, late))).toMatchObject({ code: status.DEADLINE_EXCEEDED })
    const expected = [
      'rpc_method="ModelInfer",rpc_response_status_code="DEADLINE_EXCEEDED" 1',
      'rpc_method="ModelMetadata",rpc_response_status_code="NOT_FOUND" 1',
      'rpc_method="ModelMetadata",rpc_response_status_code="OK" 2',
      'rpc_method="ModelMetadata",rpc_response_status_code="UNAUTHENTICATED" 1',
    ]
    // A call may be counted behind its answer, and so behind the next call.
    await expect.poll(async () => (await counted()).sort()).toEqual(expected)
  })

  it('goes on with the trace of its client, in which the steps of its run are', async () => {
    const { rig: at, spans, contexts } = await observed()
    const traceparent = `00-${'12'.repeat(16)}-${'34'.repeat(8)}-01`
    await at.call(method.modelInfer, request, { metadata: { traceparent, 'x-request-id': 'id' } })
    await at.call(method.serverLive, {})
    await expect.poll(() => spans[0]?.ended).toBe(true)
    expect(spans).toEqual([
      {
        name: 'inference.GRPCInferenceService/ModelInfer',
        caller: { traceparent, tracestate: undefined },
        attributes: expect.objectContaining({
          'rpc.system.name': 'grpc',
          'rpc.method': 'inference.GRPCInferenceService/ModelInfer',
          'tideway.request.id': 'id',
          'rpc.response.status_code': 'OK',
        }),
        failed: undefined,
        ended: true,
      },
    ])
    expect(contexts[0]?.span?.context.traceId).toBe('ab'.repeat(16))
  })

  it('that fails marks its span, and is logged under its id', async () => {
    const { rig: at, spans, lines } = await observed({}, () => Promise.reject(new Error('a secret')))
    const refusal = await refusalOf(at.call(method.modelInfer, request, { metadata: { 'x-request-id': 'id' } }))
    expect(refusal.details).toContain('(request id)')
    expect(spans[0]).toMatchObject({ failed: 'INTERNAL', ended: true })
    expect(lines).toEqual([
      {
        message: 'request failed',
        requestId: 'id',
        path: '/inference.GRPCInferenceService/ModelInfer',
        cause: expect.stringContaining('a secret'),
      },
    ])
  })
})

it.each([
  ['changes', ['RepositoryModelLoad']],
  ['all', ['ServerLive', 'RepositoryModelLoad']],
  ['none', []],
])('logs of calls, where it is to log %s: %j', async (logRequests, methods) => {
  const { rig: at, lines } = await observed({ logRequests, access: { apiKeys: [KEY] } })
  const metadata = { authorization: `Bearer ${KEY}`, 'x-request-id': 'id' }
  await at.call(method.serverLive, {}, { metadata })
  await at.call(method.repositoryModelLoad, { modelName: 'echo' }, { metadata })
  expect(lines.map((line) => line.method)).toEqual(methods.map((name) => `inference.GRPCInferenceService/${name}`))
  expect(JSON.stringify(lines)).not.toContain(KEY)
  const last = lines.at(-1)
  if (last) expect(last).toMatchObject({ message: 'call', requestId: 'id', status: 'OK', ms: expect.any(Number) })
})
