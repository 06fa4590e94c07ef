import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCloud } from '@tideway/cloud'
import { type Host, resolveConfig, silentLogger, tokens } from '@tideway/core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Receiver, startReceiver } from '../../plugins/traces-otel/src/receiver.fixture.js'
import { putTestVersion } from '../support/cloud-services.js'
import { identityModel } from '../support/onnx-models.js'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const CALLER = 'b7ad6b7169203331'

let dir: string
let receiver: Receiver
let cloud: Host
let url: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-observe-'))
  receiver = await startReceiver()
  const traces = { url: receiver.url, sampleRatio: 0 }
  const config = { dir, roles: ['api' as const], http: { port: 0 }, broker: { port: 0 }, traces }
  cloud = await createCloud(resolveConfig(config), silentLogger)
  await cloud.start()
  url = cloud.get(tokens.server).url as string
  const store = { chunkStore: cloud.get(tokens.chunkStore) }
  const { manifestDigest } = await putTestVersion(store, 'same', 'same', identityModel('float32'))
  await cloud.get(tokens.registry).register({ model: 'same', manifestDigest, aliases: ['latest'] })
})
afterAll(async () => {
  await cloud?.stop()
  await receiver?.stop()
  await rm(dir, { recursive: true, force: true })
})

function infer(headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${url}/v2/models/same/infer`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }] }),
  })
}

it('answers inference under the caller’s id, in its trace to a collector, and in metrics of the same version', async () => {
  const traceparent = `00-${TRACE}-${CALLER}-01`
  const first = await infer({ traceparent, 'X-Request-Id': 'order-7' })
  expect([first.status, first.headers.get('x-request-id')]).toEqual([200, 'order-7'])
  // Its caller does not sample, so neither does the cloud.
  await infer({ traceparent: traceparent.replace(/01$/, '00') })
  await Promise.all(Array.from({ length: 8 }, () => infer({ traceparent })))

  const accept = { Accept: 'application/openmetrics-text' }
  const text = await (await fetch(`${url}/metrics`, { headers: accept })).text()
  expect(text).toMatch(
    /^tideway_inference_request_duration_seconds_count\{model="same",version="1",digest="\w{12}"\} 10$/m,
  )
  expect(text).toMatch(/^nv_inference_request_success\{model="same",version="1"\} 10$/m)
  expect(text).toMatch(
    new RegExp(`^tideway_inference_request_duration_seconds_bucket.* # \\{trace_id="${TRACE}"\\}`, 'm'),
  )

  await cloud.stop()
  const { spans } = receiver
  const requests = spans.filter(({ name }) => name === 'POST /v2/models/{model}/infer')
  expect(requests).toHaveLength(9)
  for (const span of requests) expect(span).toMatchObject({ traceId: TRACE, parentSpanId: CALLER, kind: 2 })
  const [request] = requests.filter(({ attributes }) => attributes['tideway.request.id'] === 'order-7')
  const steps = spans.filter(({ parentSpanId }) => parentSpanId === request?.spanId)
  expect(steps.map(({ name }) => name).sort()).toEqual(['batch', 'decode', 'encode', 'load', 'queue'])
  const batch = steps.find(({ name }) => name === 'batch')
  expect(spans.filter(({ parentSpanId }) => parentSpanId === batch?.spanId).map(({ name }) => name)).toEqual(['infer'])
  for (const { startMs, endMs } of steps) {
    expect(startMs).toBeGreaterThanOrEqual(request?.startMs ?? Number.NaN)
    expect(endMs).toBeLessThanOrEqual(request?.endMs ?? Number.NaN)
  }
  // Those that shared a run are linked to one another, and to nobody else.
  const batches = spans.filter(({ name }) => name === 'batch')
  for (const { attributes, links, parentSpanId } of batches) {
    expect(links).toHaveLength(Number(attributes['tideway.batch.requests']) - 1)
    for (const link of links) {
      expect(requests.map(({ spanId }) => spanId)).toContain(link.spanId)
      expect(link.spanId).not.toBe(parentSpanId)
    }
  }
})
