import { once } from 'node:events'
import { connect } from 'node:net'
import type { Serving } from '@tideway/core'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Rig, startRig } from '../rig.fixture.js'
import { chunk, exchange, head } from './socket.fixture.js'

const INFER = '/v2/models/echo/infer'
const JSON_TYPE = 'Content-Type: application/json'
const CLOSE = 'Connection: close'
const serving = echoServing()
/** Every name that reached the models. */
const names: string[] = []
let rig: Rig

beforeAll(async () => {
  const watched: Serving = {
    ...serving,
    metadata(model, version) {
      names.push(model, version ?? 'latest')
      return serving.metadata(model, version)
    },
    infer(model, version, inputs) {
      names.push(model, version ?? 'latest')
      return serving.infer(model, version, inputs)
    },
  }
  rig = await startRig({ serving: watched })
})
beforeEach(() => {
  serving.takes(specOf('x', 'int8'))
  names.length = 0
})
afterAll(() => rig?.stop())

const send = (...parts: readonly (string | Uint8Array)[]) => exchange(rig.url, ...parts)
const json = (id: string) => JSON.stringify({ id, inputs: [{ name: 'x', datatype: 'INT8', shape: [2], data: [1, 2] }] })
const post = (id: string, ...lines: string[]) =>
  head('POST', INFER, JSON_TYPE, `Content-Length: ${json(id).length}`, ...lines) + json(id)
const idOf = (body: string) => (JSON.parse(body) as { id: string }).id

describe('a body', () => {
  it('may come in chunks that end anywhere, with extensions and a trailer', async () => {
    const text = json('chunks')
    const request = head('POST', INFER, JSON_TYPE, 'Transfer-Encoding: chunked', CLOSE)
    const chunks = text.split('').map(chunk).join('').replace('1\r\n', '1;name=value\r\n')
    const [answer] = await send(request, chunks, '0\r\nX-Trailer: 1\r\n\r\n')
    expect([answer?.status, idOf(answer!.body)]).toEqual([200, 'chunks'])
  })

  it('in binary may come in chunks, too', async () => {
    const x = { name: 'x', datatype: 'INT8', shape: [3], parameters: { binary_data_size: 3 } }
    const text = JSON.stringify({ inputs: [x] })
    const lines = [`inference-header-content-length: ${text.length}`, 'Transfer-Encoding: chunked', CLOSE]
    const [answer] = await send(
      head('POST', INFER, ...lines),
      chunk(text.slice(0, 9)),
      chunk(`${text.slice(9)}ab`),
      `${chunk('c')}${chunk('')}`,
    )
    expect(JSON.parse(answer!.body)).toMatchObject({ outputs: [{ data: [97, 98, 99] }] })
  })

  it('may come byte by byte', async () => {
    const [answer] = await send(...post('slow', CLOSE).split(''))
    expect([answer?.status, idOf(answer!.body)]).toEqual([200, 'slow'])
  })

  it('is waited for after 100-continue', async () => {
    const request = post('expected', 'Expect: 100-continue', CLOSE)
    const end = request.indexOf('\r\n\r\n') + 4
    const answers = await send(request.slice(0, end), request.slice(end))
    expect(answers.map(({ status }) => status)).toEqual([100, 200])
  })

  it('that stops arriving is given up, and one cut off troubles nobody', async () => {
    // So soon that a stall of the machine is one, too: for this alone.
    const hasty = await startRig({ serving }, { limits: { bodyIdleMs: 300 } })
    const [stalled] = await exchange(hasty.url, post('stalled').slice(0, -5))
    expect([stalled?.status, stalled?.body]).toEqual([408, expect.stringContaining('BODY_STALLED')])
    await hasty.stop()
    const cutOff = connect(Number(new URL(rig.url).port), '127.0.0.1')
    await once(cutOff, 'connect')
    cutOff.write(post('cut off').slice(0, -5))
    cutOff.destroy()
    expect((await send(post('after', CLOSE)))[0]?.status).toBe(200)
  })
})

describe('a connection', () => {
  it('answers requests that were sent without waiting in their order', async () => {
    const answers = await send(post('a') + post('b') + head('GET', '/v2/health/live') + post('c', CLOSE))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect([0, 1, 3].map((i) => idOf(answers[i]!.body))).toEqual(['a', 'b', 'c'])
  })

  it('goes on after a request that was refused', async () => {
    const bad = head('POST', INFER, JSON_TYPE, 'Content-Length: 1') + '{'
    const answers = await send(bad + post('next', CLOSE))
    expect(answers.map(({ status }) => status)).toEqual([400, 200])
  })

  it('of HTTP/1.0 is closed after the answer', async () => {
    const [answer] = await send('GET /v2/health/live HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n')
    expect(answer).toMatchObject({ status: 200, body: '{"live":true}' })
  })
})

describe('HEAD', () => {
  it.each([
    '/v2',
    '/v2/health/live',
    '/v2/health/ready',
    '/v2/models/echo',
    '/v2/models/echo/versions/1/ready',
    '/v2/models/stats',
  ])('of %s is the answer to GET without its body', async (path) => {
    const [[got], [asked]] = await Promise.all([send(head('GET', path, CLOSE)), send(head('HEAD', path, CLOSE))])
    expect([asked?.status, asked?.body]).toEqual([200, ''])
    expect(asked?.headers.get('content-type')).toBe(got?.headers.get('content-type'))
  })

  it('of what is not there is a 404 without a body', async () => {
    expect(await send(head('HEAD', '/v2/models/none', CLOSE))).toMatchObject([{ status: 404, body: '' }])
  })
})

describe('another method', () => {
  it.each([
    ['GET', INFER, 'POST'],
    ['HEAD', INFER, 'POST'],
    ['PUT', INFER, 'POST'],
    ['POST', '/v2/models/echo', 'GET, HEAD'],
    ['DELETE', '/v2/models/echo/versions/1', 'GET, HEAD'],
    ['POST', '/v2/health/live', 'GET, HEAD'],
    ['GET', '/v2/repository/index', 'POST'],
    ['OPTIONS', '/v2', 'GET, HEAD'],
  ])('%s of %s is a 405 that says what is allowed', async (method, path, allow) => {
    const [answer] = await send(head(method, path, CLOSE))
    expect([answer?.status, answer?.headers.get('allow')]).toEqual([405, allow])
    if (method !== 'HEAD') expect(JSON.parse(answer!.body)).toMatchObject({ code: 'METHOD_NOT_ALLOWED' })
  })
})

describe('what is no proper request', () => {
  const length = `Content-Length: ${json('x').length}`
  it.each([
    ['a length and chunks', head('POST', INFER, JSON_TYPE, length, 'Transfer-Encoding: chunked') + chunk('')],
    ['two lengths', head('POST', INFER, JSON_TYPE, length, 'Content-Length: 1') + json('x')],
    ['a length that is none', head('POST', INFER, JSON_TYPE, 'Content-Length: -1')],
    ['a chunk of no length', `${head('POST', INFER, JSON_TYPE, 'Transfer-Encoding: chunked')}zz\r\n`],
    ['no host', 'GET /v2 HTTP/1.1\r\n\r\n'],
    ['a header without a name', 'GET /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\n: x\r\n\r\n'],
    ['a space before the colon', 'GET /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\nX : x\r\n\r\n'],
    ['a method that is none', head('F(O', '/v2')],
    ['no HTTP', 'hello\r\n\r\n'],
  ])('with %s is a 400, and nothing of it is run', async (_, request) => {
    expect((await send(request)).map(({ status }) => status)).toEqual([400])
    expect(names).toEqual([])
  })

  it.each([
    ['a header', head('GET', '/v2', `X-Large: ${'x'.repeat(64 * 1024)}`)],
    ['many headers', head('GET', '/v2', ...Array.from({ length: 3_000 }, (_, i) => `X-${i}: xxxxxxxx`))],
    ['a path', head('GET', `/v2/models/${'x'.repeat(64 * 1024)}`)],
  ])('with %s beyond all measure is a 431', async (_, request) => {
    expect((await send(request)).map(({ status }) => status)).toEqual([431])
    expect((await rig.call('GET', '/v2/health/live')).status).toBe(200)
  })

  it('with the length of the JSON twice is a 400', async () => {
    const lines = ['Inference-Header-Content-Length: 10', 'Inference-Header-Content-Length: 20']
    expect(await send(post('twice', ...lines, CLOSE))).toMatchObject([{ status: 400 }])
  })
})

describe('names in paths', () => {
  it.each([
    '..%2F..%2Fetc%2Fpasswd',
    '..%5C..%5Cwindows',
    '%00',
    'a%00b',
    '%E0%A4%A',
    '%',
    'ECHO',
    'echo%20',
    '%2Fetc',
    'C:',
    '~root',
    'file:%2F%2F%2Fetc',
    'x'.repeat(64),
    '__proto__',
    '%F0%9F%8C%8A',
  ])('"%s" is no model, no version and no file', async (name) => {
    for (const [method, path] of [
      ['GET', `/v2/models/${name}`],
      ['POST', `/v2/models/${name}/infer`],
      ['GET', `/v2/models/echo/versions/${name}/ready`],
      ['GET', `/v2/models/${name}/stats`],
      ['POST', `/v2/repository/models/${name}/load`],
    ] as const) {
      const [answer] = await send(head(method, path, JSON_TYPE, 'Content-Length: 0', CLOSE))
      expect([400, 404], path).toContain(answer?.status)
      expect(JSON.parse(answer!.body)).toMatchObject({ code: expect.any(String) as string })
      expect(answer!.body).not.toMatch(/ENOENT|root:/)
    }
    // What reaches the models is an id, of which no path that leads anywhere can be made.
    for (const given of names) expect(given).toMatch(/^[a-z0-9][a-z0-9_-]{0,62}$/)
  })

  it.each(['/v2/../v2/models/echo', '/v2/models/./echo', '/v2/models/none/%2e%2E/echo'])(
    'with dots like %s are resolved in the address alone',
    async (path) => {
      const [answer] = await send(head('GET', path, CLOSE))
      expect([answer?.status, names]).toEqual([200, ['echo', 'latest']])
    },
  )
})

describe('health', () => {
  it('has a status and a body that say the same', async () => {
    const auditLog = { list: () => Promise.reject(new Error('gone')) }
    const down = await startRig({ serving, auditLog: auditLog as never })
    const answers = async (url: string) => {
      const paths = ['/v2/health/live', '/v2/health/ready']
      const both = await Promise.all(paths.map((path) => exchange(url, head('GET', path, CLOSE))))
      return both.flat().map(({ status, headers, body }) => [status, headers.get('content-type'), JSON.parse(body)])
    }
    const type = 'application/json'
    expect(await answers(rig.url)).toEqual([
      [200, type, { live: true }],
      [200, type, { ready: true }],
    ])
    expect(await answers(down.url)).toEqual([
      [200, type, { live: true }],
      [503, type, { ready: false }],
    ])
    await down.stop()
  })
})
