import { describe, expect, it, vi } from 'vitest'
import { head } from '../inference/socket.fixture.js'
import { readPlainHead } from './plain-head.js'

const INFER = '/v2/models/echo/infer'
const read = (text: string) => readPlainHead(Buffer.from(text, 'latin1'))
const post = (...lines: readonly string[]) => head('POST', INFER, 'Content-Length: 2', ...lines)

describe('a head that is written plainly', () => {
  it('is read with its headers by lower-case name, and says where the body begins and how long it is', () => {
    const text = post('Content-Type: application/json', 'X-Request-ID:r-1', 'traceparent: 00-a b-01')
    expect(read(`${text}{}`)).toMatchObject({
      url: INFER,
      headers: {
        host: '127.0.0.1',
        'content-length': '2',
        'content-type': 'application/json',
        'x-request-id': 'r-1',
        traceparent: '00-a b-01',
      },
      bytes: Buffer.from(text),
      bodyBytes: 2,
      closes: false,
    })
  })

  it('of a GET has no body', () => {
    const text = head('GET', '/v2/models/echo')
    expect(read(text)).toMatchObject({ method: 'GET', url: '/v2/models/echo', bytes: Buffer.from(text), bodyBytes: 0 })
  })

  it.each([
    ['Connection: keep-alive', false],
    ['Connection: Close', true],
  ])('with %s says whether the connection is closed behind it', (line, closes) => {
    expect(read(post(line))?.closes).toBe(closes)
  })

  it('has what is derived from it made once, unless it throws', () => {
    const plain = read(post())
    const make = vi.fn((header: (name: string) => string | undefined) => ({ host: header('host') }))
    expect(plain?.derive(make)).toEqual({ host: '127.0.0.1' })
    expect(plain?.derive(make)).toBe(plain?.derive(make))
    expect(make).toHaveBeenCalledTimes(1)
    const bad = () => plain?.derive(() => expect.fail('cannot be read'))
    expect(bad).toThrow()
    expect(bad).toThrow()
  })
})

describe('left to who knows all of HTTP is a head that', () => {
  it.each([
    ['is not whole', post().slice(0, -1)],
    ['is of another method', head('PUT', INFER, 'Content-Length: 2')],
    ['asks only and has a length', head('GET', INFER, 'Content-Length: 0')],
    ['has a method in lower case', head('post', INFER, 'Content-Length: 2')],
    ['is of another version', post().replace('HTTP/1.1', 'HTTP/1.0')],
    ['has an empty line ahead', `\r\n${post()}`],
    ['has an address of a whole URL', post().replace(INFER, `http://127.0.0.1${INFER}`)],
    ['has a space more in its first line', post().replace('POST ', 'POST  ')],
    ['has no host', post().replace('Host', 'Hosts')],
    ['has no length', head('POST', INFER)],
    ['has a header twice', post('X-A: 1', 'x-a: 2')],
    ['has two lengths', post('Content-Length: 2')],
    ['has a header that all objects have', post('Constructor: x')],
    ['has a header named __proto__', post('__proto__: x')],
    ['has a length with a sign', post().replace('Length: 2', 'Length: +2')],
    ['has a length that begins with 0', post().replace('Length: 2', 'Length: 02')],
    ['has a list of lengths', post().replace('Length: 2', 'Length: 2, 2')],
    ['has a length beyond all measure', post().replace('Length: 2', `Length: ${'9'.repeat(16)}`)],
    ['comes in chunks', post('Transfer-Encoding: chunked')],
    ['waits for 100-continue', post('Expect: 100-continue')],
    ['asks for another protocol', post('Connection: upgrade', 'Upgrade: websocket')],
    ['names headers of its connection', post('Connection: keep-alive, x-a')],
    ['has a folded line', post('X-A: 1\r\n 2')],
    ['has a line that ends with a line feed alone', post('X-A: 1\nX-B: 2')],
    ['has a carriage return alone', post('X-A: 1\r2')],
    ['has a space ahead of a colon', post('X-A : 1')],
    ['has a header without a value', post('X-A:')],
    ['has a header without a name', post(': 1')],
    ['has a tab', post('X-A:\t1')],
    ['has a byte of no ASCII', post('X-A: \xe9')],
    ['has a NUL', post('X-A: \0')],
    ['is long', post(`X-A: ${'x'.repeat(9_000)}`)],
  ])('%s', (_, text) => {
    expect(read(text)).toBeUndefined()
  })
})
