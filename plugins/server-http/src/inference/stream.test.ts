import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import type { InferContext } from '@tideway/core'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Rig, startRig } from '../rig.fixture.js'

const PATH = '/v2/models/echo/infer_stream'
const line = (value: number, rest: object = {}) =>
  `${JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 1], data: [value] }], ...rest })}\n`
const wide = (values: number) =>
  `${JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, values], data: Array(values).fill(0.5) }] })}\n`

const echo = echoServing()
let rig: Rig
let calls: { readonly version: string | undefined; readonly context: InferContext }[] = []
let hold: Promise<void> | undefined
let isDivided = false

beforeEach(async () => {
  echo.takes(specOf('x', 'float32', [null, null]))
  calls = []
  hold = undefined
  isDivided = false
  const infer: typeof echo.infer = async (model, version, inputs, context = {}) => {
    calls.push({ version, context })
    await hold
    return echo.infer(model, version, inputs, context)
  }
  rig = await startRig(
    { serving: { ...echo, infer, hasPolicy: () => isDivided } },
    { limits: { maxInferBodyBytes: 100_000, stopGraceMs: 5_000 } },
  )
})
afterEach(() => rig?.stop())

/** A request that is written while its answer is read. */
function open(path = PATH, headers: Record<string, string> = {}) {
  const sent: ClientRequest = request(rig.url + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-ndjson', ...headers },
  })
  sent.on('error', () => undefined)
  const response = new Promise<IncomingMessage>((resolve) => sent.once('response', resolve))
  sent.flushHeaders()
  return { sent, response }
}

async function* linesIn(response: IncomingMessage): AsyncGenerator<Record<string, unknown>> {
  let text = ''
  response.setEncoding('utf8')
  for await (const part of response) {
    text += part as string
    const lines = text.split('\n')
    text = lines.pop() ?? ''
    for (const one of lines) yield JSON.parse(one) as Record<string, unknown>
  }
}

async function exchange(body: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(rig.url + PATH, {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-ndjson', ...headers },
    body,
  })
}
const answers = async (response: Response) =>
  (await response.text())
    .trimEnd()
    .split('\n')
    .map((text) => JSON.parse(text) as Record<string, unknown>)
const valueOf = (answer: Record<string, unknown>) => (answer.outputs as { data: number[] }[])[0]?.data[0]

describe('lines of inference requests', () => {
  it('are answered each with a line, in their order, with their ids, by one version', async () => {
    const body = Array.from({ length: 100 }, (_, at) => line(at, { id: `r${at}` })).join('\n')
    const response = await exchange(body)
    expect(response.headers.get('content-type')).toBe('application/x-ndjson')
    const all = await answers(response)
    expect(all.map(valueOf)).toEqual(Array.from({ length: 100 }, (_, at) => at))
    expect(all[7]).toMatchObject({ model_name: 'echo', model_version: '3', id: 'r7' })
    expect(new Set(calls.map(({ version }) => version))).toEqual(new Set(['3']))
  })

  it('go under a policy together: by their key, or by one draw', async () => {
    isDivided = true
    const lines = line(1) + line(2)
    const response = await exchange(lines, { 'X-Tideway-Key': 'customer 17' })
    expect(response.headers.get('x-tideway-version')).toBeNull()
    expect(await answers(response)).toMatchObject([{ model_version: '3' }, { model_version: '3' }])
    await answers(await exchange(lines))
    expect(calls.map(({ version, context }) => [version, context.stickyKey])).toEqual([
      [undefined, 'customer 17'],
      [undefined, 'customer 17'],
      [undefined, undefined],
      [undefined, undefined],
    ])
    const [first, second, third, fourth] = calls.map(({ context }) => context.draw)
    expect([first, third]).toEqual([second, fourth])
    expect(third).not.toBe(first)
    const ids = calls.map(({ context }) => context.requestId)
    expect([ids[0], ids[2]]).toEqual([ids[1], ids[3]])
    await answers(
      await fetch(`${rig.url}/v2/models/echo/versions/1/infer_stream`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/x-ndjson' },
        body: lines,
      }),
    )
    expect(calls.slice(4).map(({ version }) => version)).toEqual(['1', '1'])
  })

  it('fail alone', async () => {
    const odd = `${JSON.stringify({ inputs: [{ name: 'y', datatype: 'FP32', shape: [1], data: [1] }] })}\n`
    const all = await answers(await exchange(line(1) + odd + '{"inputs": \n' + line(2).trimEnd()))
    expect(all.map(({ code }) => code)).toEqual([undefined, 'INPUT_INVALID', 'JSON_INVALID', undefined])
    expect(valueOf(all[3] as Record<string, unknown>)).toBe(2)
  })

  it('are answered with events where the client takes them', async () => {
    const response = await exchange(line(1) + '[]\n' + line(2), { Accept: 'text/event-stream' })
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    const events = (await response.text()).trimEnd().split('\n\n')
    expect(events.map((event) => event.split('\n').map((field) => field.split(': ')[0]))).toEqual(
      Array(3).fill(['event', 'data', 'id']),
    )
    expect(events.map((event) => /event: (\w+)/.exec(event)?.[1])).toEqual(['answer', 'failure', 'answer'])
    expect(events.map((event) => /id: (\d+)/.exec(event)?.[1])).toEqual(['1', '2', '3'])
  })

  it('are answered while more are sent', async () => {
    const { sent, response } = open()
    sent.write(line(1))
    const lines = linesIn(await response)
    expect(valueOf((await lines.next()).value as Record<string, unknown>)).toBe(1)
    // A line in two pieces.
    const text = line(2)
    sent.write(text.slice(0, 10))
    sent.write(text.slice(10))
    expect(valueOf((await lines.next()).value as Record<string, unknown>)).toBe(2)
    sent.end()
    expect((await lines.next()).done).toBe(true)
  })

  it('are not read further than their answers are taken', async () => {
    const { sent, response } = open()
    const total = 600
    const body = wide(15_000)
    let written = 0
    /** Whether the line was taken by the wire, after so many turns that a reader would long have read it. */
    const isTaken = async () => {
      let taken = false
      sent.write(body, () => (taken = true))
      written++
      for (let turn = 0; turn < 5_000 && !taken; turn++) await new Promise(setImmediate)
      return taken
    }
    while (await isTaken());
    expect(calls.length).toBeLessThan(total / 2)
    for (; written < total; written++) sent.write(body)
    sent.end()
    let answered = 0
    for await (const answer of linesIn(await response)) if ('outputs' in answer) answered++
    expect(answered).toBe(total)
  }, 60_000)

  it('are not run when their client has gone', async () => {
    let release: () => void = () => undefined
    hold = new Promise((resolve) => (release = resolve))
    const { sent } = open()
    sent.write(line(1))
    await expect.poll(() => calls.length).toBe(1)
    const { signal } = calls[0]?.context ?? {}
    sent.destroy()
    await expect.poll(() => signal?.aborted).toBe(true)
    release()
  })

  it('that were taken are answered when the server stops, and it says that there are no more', async () => {
    const { sent, response } = open()
    sent.write(line(1))
    const lines = linesIn(await response)
    expect(valueOf((await lines.next()).value as Record<string, unknown>)).toBe(1)
    const stopped = rig.stop()
    expect((await lines.next()).value).toMatchObject({ code: 'STREAM_STOPPED' })
    expect((await lines.next()).done).toBe(true)
    await stopped
  })

  it('that are too long end the stream, with the reason', async () => {
    const { sent, response } = open()
    sent.write(line(1) + '['.repeat(150_000))
    const all: Record<string, unknown>[] = []
    for await (const answer of linesIn(await response)) all.push(answer)
    expect(all.map(({ code }) => code)).toEqual([undefined, 'TOO_LARGE'])
  })

  it('are refused as a whole where they are for no model, or of another type', async () => {
    const none = await fetch(`${rig.url}/v2/models/none/infer_stream`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-ndjson' },
      body: line(1),
    })
    expect([none.status, ((await none.json()) as { code: string }).code]).toEqual([404, 'MODEL_NOT_FOUND'])
    const json = await exchange(line(1), { 'Content-Type': 'application/json' })
    expect([json.status, ((await json.json()) as { code: string }).code]).toEqual([415, 'CONTENT_TYPE_UNSUPPORTED'])
    expect((await rig.call('GET', PATH)).status).toBe(405)
  })
})
