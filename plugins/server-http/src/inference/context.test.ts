import { connect } from 'node:net'
import type { InferContext } from '@tideway/core'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Rig, startRig } from '../rig.fixture.js'
import { wantedIn } from './context.js'
import { head } from './socket.fixture.js'

const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 1], data: [1] }]
const PATH = '/v2/models/echo/infer'
/** Written unusually, so that it goes through the adapter. */
const BEHIND = '/v2/models/ech%6f/infer'

let rig: Rig
let seen: InferContext[] = []
let taken: () => void = () => undefined
/** Ends only when the client has gone. */
let holds = false

beforeAll(async () => {
  const echo = echoServing()
  echo.takes(specOf('x', 'float32', [null, 1]))
  const infer: typeof echo.infer = async (model, version, given, context = {}) => {
    seen.push(context)
    taken()
    if (holds) await new Promise((resolve) => context.signal?.addEventListener('abort', resolve, { once: true }))
    return echo.infer(model, version, given)
  }
  rig = await startRig({ serving: { ...echo, infer } })
})
afterAll(() => rig?.stop())
beforeEach(() => {
  seen = []
  holds = false
})

/** In how many milliseconds the one request that was seen had to be answered, from before it was sent. */
async function timeoutOf(headers: Record<string, string>, parameters = {}, path = PATH): Promise<number | undefined> {
  const before = performance.now()
  expect(await rig.call('POST', path, { inputs, parameters }, headers)).toMatchObject({ status: 200 })
  const after = performance.now()
  const [{ deadlineMs } = {} as InferContext] = seen
  if (deadlineMs === undefined) return undefined
  // The clock of the server, which is this process, is somewhere between.
  const timeoutMs = Math.round((deadlineMs - before) / 1_000) * 1_000
  expect(deadlineMs - timeoutMs).toBeGreaterThanOrEqual(before)
  expect(deadlineMs - timeoutMs).toBeLessThanOrEqual(after)
  return timeoutMs
}

describe('an inference request over HTTP', () => {
  it.each<[string, Record<string, string>, object, number | undefined]>([
    ['without any is run whenever it can be', {}, {}, undefined],
    ['has that of Triton in microseconds', {}, { timeout: 60_000_000 }, 60_000],
    ['takes 0 for none', { 'X-Envoy-Expected-Rq-Timeout-Ms': '0' }, { timeout: 0 }, undefined],
    ['has that of gRPC', { 'Grpc-Timeout': '2M' }, {}, 120_000],
    ['has that of Envoy', { 'X-Envoy-Expected-Rq-Timeout-Ms': '30000' }, {}, 30_000],
    [
      'has the shortest of all',
      { 'Grpc-Timeout': '90S', 'X-Envoy-Expected-Rq-Timeout-Ms': '40000' },
      { timeout: 50_000_000 },
      40_000,
    ],
  ])('with a time-out %s', async (_, headers, parameters, timeoutMs) => {
    expect(await timeoutOf(headers, parameters)).toBe(timeoutMs)
    seen = []
    expect(await timeoutOf(headers, parameters, BEHIND)).toBe(timeoutMs)
  })

  it.each([
    ['header Grpc-Timeout', { 'Grpc-Timeout': '1.5S' }, {}],
    ['header x-envoy-expected-rq-timeout-ms', { 'X-Envoy-Expected-Rq-Timeout-Ms': '-1' }, {}],
    ['parameters.timeout', {}, { timeout: 0.5 }],
    ['parameters.timeout', {}, { timeout: '7' }],
  ])('is refused where %s cannot be read', async (field, headers: Record<string, string>, parameters) => {
    const answer = await rig.call('POST', PATH, { inputs, parameters }, headers)
    expect(answer).toMatchObject({ status: 400, code: 'INPUT_REJECTED' })
    expect((answer.body as { error: string }).error).toContain(`${field}: must be`)
    expect(seen).toEqual([])
  })

  it.each([PATH, BEHIND])('tells that its client has gone, by %s', async (path) => {
    holds = true
    const isTaken = new Promise<void>((resolve) => (taken = resolve))
    const body = JSON.stringify({ inputs })
    const client = connect(Number(new URL(rig.url).port), '127.0.0.1')
    client.write(head('POST', path, 'Content-Type: application/json', `Content-Length: ${body.length}`) + body)
    await isTaken
    const signal = seen[0]?.signal as AbortSignal
    expect(signal.aborted).toBe(false)
    const gone = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    client.destroy()
    await gone
  })

  it('says whether a kept answer will do', () => {
    const noCache = (value?: string) => wantedIn((name) => (name === 'cache-control' ? value : undefined)).noCache
    expect([undefined, 'max-age=0', 'no-transform'].map(noCache)).toEqual([false, false, false])
    expect(['no-cache', 'No-Store', 'max-age=0, no-cache'].map(noCache)).toEqual([true, true, true])
  })
})
