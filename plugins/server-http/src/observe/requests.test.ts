import {
  type LogData,
  type Logger,
  type Registry,
  type Span,
  type SpanAttributes,
  silentLogger,
  type Tracer,
} from '@tideway/core'
import { PrometheusMetrics } from '@tideway/metrics-prometheus'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterEach, describe, expect, it } from 'vitest'
import { type Rig, startRig } from '../rig.fixture.js'
import type { Services } from '../services.js'

interface Traced {
  readonly name: string
  attributes: SpanAttributes
  readonly children: string[]
  readonly caller: unknown
  failed?: string
}

/** Samples what has a caller, as a tracer with the ratio 0 does. */
function recorder(): { tracer: Tracer; spans: Traced[] } {
  const spans: Traced[] = []
  const tracer: Tracer = {
    start(name, { attributes = {}, caller } = {}) {
      if (caller?.traceparent === undefined) return undefined
      const traced: Traced = { name, attributes, caller, children: [] }
      spans.push(traced)
      const span: Span = {
        context: { traceId: 'ab'.repeat(16), spanId: 'cd'.repeat(8) },
        child: (child) => {
          traced.children.push(child)
          return inner
        },
        set: (more) => void (traced.attributes = { ...traced.attributes, ...more }),
        fail: (code) => void (traced.failed = code),
        end: () => undefined,
      }
      const inner: Span = { ...span, child: () => inner, set: () => undefined }
      return span
    },
  }
  return { tracer, spans }
}

const registry = {
  models: async () => [],
  model: () => Promise.reject(new Error('the secret of the store')),
} as unknown as Registry

let rig: Rig | undefined
afterEach(async () => {
  await rig?.stop()
  rig = undefined
})

async function observedRig(options: Record<string, unknown> = {}, services: Services = {}) {
  const lines: (LogData & { message: string })[] = []
  const log = (message: string, data?: LogData) => void lines.push({ ...data, message })
  const logger: Logger = { ...silentLogger, info: log, error: log }
  const metrics = new PrometheusMetrics({ maxSeries: 100 })
  const { tracer, spans } = recorder()
  rig = await startRig({ registry, logger, metrics, tracer, ...services }, options)
  const { url } = rig
  const ask = (path: string, init: RequestInit = {}) => fetch(url + path, init)
  const counted = async () =>
    [...(await (await ask('/metrics')).text()).matchAll(/^http_server_request_duration_seconds_count\{(.*)\} (\d+)$/gm)]
      .map(([, labels, count]) => `${labels?.replaceAll(/http_(request_|response_)?/g, '')} ${count}`)
      .filter((line) => !line.includes('/metrics'))
  return { ask, lines, spans, counted }
}

/** Inference, what clients tell all the time, and what is asked by POST and changes nothing. */
const UNTOLD = [
  '/v2/models/a/infer',
  '/v2/models/a/versions/1/infer_stream',
  '/v1/devices/a/reports',
  '/v1/models/a/outcomes',
  '/v2/repository/index',
  '/v1/chunks/missing',
]

describe('requests on routes', () => {
  it('are counted by method, template of their route and status, so that no client makes a series', async () => {
    const { ask, counted } = await observedRig()
    for (const path of ['/v1/models', '/v1/models/a', '/v1/models/b', '/v1/models?limit=1', '/nowhere/1', '/nowhere/2'])
      await (await ask(path)).arrayBuffer()
    await ask('/nowhere', { method: 'PROPFIND' })
    expect(await counted()).toEqual([
      'method="GET",route="/v1/models",status_code="200" 2',
      'method="GET",route="/v1/models/{model}",status_code="500" 2',
      'method="GET",route="",status_code="404" 2',
      'method="_OTHER",route="",status_code="404" 1',
    ])
  })

  it('keep the id that their client gave them, or get one, in the answer, the log and what failed', async () => {
    const { ask, lines } = await observedRig()
    const given = await ask('/v1/models/a', { headers: { 'X-Request-Id': 'job-7/a' } })
    expect(given.headers.get('x-request-id')).toBe('job-7/a')
    expect(await given.json()).toMatchObject({ error: { code: 'INTERNAL', data: { requestId: 'job-7/a' } } })
    expect(lines).toMatchObject([{ message: 'request failed', requestId: 'job-7/a' }])
    const own = await ask('/v1/models', { headers: { 'X-Request-Id': 'no "spaces"' } })
    expect(own.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}-\d+$/)
  })

  it('go on with the traces of their callers, and without those of probes', async () => {
    const { ask, spans } = await observedRig()
    const headers = { traceparent: `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`, tracestate: 'a=b' }
    await ask('/v1/models', { headers })
    await ask('/v1/models/a', { headers })
    await ask('/v1/health/live', { headers })
    await ask('/metrics', { headers })
    expect(spans).toMatchObject([
      { name: 'GET /v1/models', attributes: { 'http.route': '/v1/models', 'http.response.status_code': 200 } },
      { name: 'GET /v1/models/{model}', failed: '500' },
    ])
    expect(spans[0]?.caller).toEqual(headers)
  })

  it.each([
    ['none', []],
    ['changes', ['POST /v1/jobs', 'POST /v2/repository/models/index/load']],
    [
      'all',
      [
        'GET /v1/models',
        'POST /v1/jobs',
        'POST /v2/repository/models/index/load',
        ...UNTOLD.map((path) => `POST ${path}`),
      ],
    ],
  ])('are logged without their queries: %s', async (logRequests, expected) => {
    const { ask, lines } = await observedRig({ logRequests })
    await ask('/v1/models?token=secret')
    await ask('/v1/jobs?token=secret', { method: 'POST' })
    await ask('/v2/repository/models/index/load', { method: 'POST' })
    for (const path of UNTOLD) await ask(path, { method: 'POST' })
    expect(lines.map(({ method, path }) => `${String(method)} ${String(path)}`)).toEqual(expected)
    for (const line of lines)
      expect(line).toMatchObject({ message: 'request', actor: 'local', requestId: expect.any(String) as string })
  })
})

describe('requests to run a model', () => {
  const body = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }] })
  const init = (headers: Record<string, string> = {}) => ({
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body,
  })
  const PATH = '/v2/models/echo/infer'

  function echo() {
    const serving = echoServing()
    serving.takes(specOf('x', 'float32', [null, 2]))
    return serving
  }

  it('are counted by route and by model, whichever way they take', async () => {
    const { ask, counted } = await observedRig({}, { serving: echo() })
    // A query is written unusually, and takes the way of all routes.
    for (const path of [PATH, `${PATH}?a=1`, '/v2/models/echo/versions/1/infer']) await ask(path, init())
    for (const model of ['absent-1', 'absent-2']) await ask(`/v2/models/${model}/infer`, init())
    expect(await counted()).toEqual([
      'method="POST",route="/v2/models/{model}/infer",status_code="200" 2',
      'method="POST",route="/v2/models/{model}/versions/{version}/infer",status_code="200" 1',
      'method="POST",route="/v2/models/{model}/infer",status_code="404" 2',
    ])
    const text = await (await ask('/metrics')).text()
    expect(text).toMatch(/^nv_inference_request_success\{model="echo",version="3"\} 2$/m)
    expect(text).toMatch(/^tideway_inference_request_bytes_total\{model="echo",version="1",digest="\w+"\} [1-9]\d*$/m)
    expect(text).toMatch(
      /^tideway_inference_failures_total\{model="",version="",digest="",code="MODEL_NOT_FOUND"\} 2$/m,
    )
    expect(text).not.toContain('absent')
  })

  it('are counted as failed once, also where their body was refused while it came', async () => {
    const { ask } = await observedRig({ limits: { maxInferBodyBytes: body.length } }, { serving: echo() })
    await ask(PATH, { ...init(), body: `${body} ` })
    await ask(`${PATH}?a=1`, { ...init(), body: new Blob([body, ' ']).stream(), duplex: 'half' } as RequestInit)
    await ask(PATH, init({ 'Content-Type': 'text/plain' }))
    await ask(PATH, { ...init(), body: '{' })
    const text = await (await ask('/metrics')).text()
    const failed = [...text.matchAll(/^tideway_inference_failures_total\{.*code="(\w+)"\} (\d+)$/gm)]
    expect(Object.fromEntries(failed.map(([, code, count]) => [code, Number(count)]))).toEqual({
      TOO_LARGE: 2,
      CONTENT_TYPE_UNSUPPORTED: 1,
      JSON_INVALID: 1,
    })
    expect(text).toMatch(/^tideway_inference_requests_in_flight 0$/m)
  })

  it('keep their id and go on with the trace of their caller, in steps', async () => {
    const { ask, spans } = await observedRig({}, { serving: echo() })
    const traceparent = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`
    const response = await ask(PATH, init({ traceparent, 'X-Request-Id': 'job-7' }))
    expect(response.headers.get('x-request-id')).toBe('job-7')
    expect(spans).toMatchObject([
      {
        name: 'POST /v2/models/{model}/infer',
        attributes: {
          'tideway.request.id': 'job-7',
          'tideway.model.name': 'echo',
          'tideway.model.version': '3',
          'http.response.status_code': 200,
        },
        children: expect.arrayContaining(['decode', 'infer', 'encode']) as string[],
      },
    ])
    expect((await ask('/v2/models/none/infer', init())).headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}-\d+$/)
  })

  it('are logged where all are', async () => {
    for (const [logRequests, count] of [
      ['changes', 0],
      ['all', 1],
    ] as const) {
      const { ask, lines } = await observedRig({ logRequests }, { serving: echo() })
      await ask(PATH, init())
      expect(lines).toHaveLength(count)
      await rig?.stop()
    }
  })
})

describe('the metrics of a process', () => {
  it('are told to Prometheus in the form that it asks for', async () => {
    const { ask } = await observedRig()
    const open = await ask('/metrics', { headers: { Accept: 'application/openmetrics-text; version=1.0.0' } })
    expect(open.headers.get('content-type')).toMatch(/^application\/openmetrics-text; version=1\.0\.0/)
    expect((await open.text()).endsWith('# EOF\n')).toBe(true)
  })

  it('ask for a key as other routes do', async () => {
    const { ask } = await observedRig({ access: { apiKeys: ['0123456789abcdef'] } })
    expect((await ask('/metrics')).status).toBe(401)
    const headers = { Authorization: 'Bearer 0123456789abcdef' }
    const told = await ask('/metrics', { headers })
    expect(told.status).toBe(200)
    expect(await told.text()).toContain('tideway_requests_refused_total{code="UNAUTHORIZED"} 1\n')
  })

  it('are not here where nothing counts', async () => {
    rig = await startRig({})
    expect(await rig.call('GET', '/metrics')).toMatchObject({ status: 503, code: 'ROLE_NOT_HERE' })
  })
})
