import type { Header } from '../http/aligned.js'

/** The head of a request that is written as nearly all clients write theirs. */
export interface PlainHead {
  readonly method: 'GET' | 'POST'
  readonly url: string
  /** By lower-case name, each once. */
  readonly headers: Readonly<Record<string, string>>
  readonly header: Header
  /** As `BodySource.derive`. */
  readonly derive: <T>(make: (header: Header) => T) => T
  /** Of the head itself, with the empty line. */
  readonly bytes: Buffer
  readonly bodyBytes: number
  /** Whether the connection is to be closed behind the answer. */
  readonly closes: boolean
}

/** No head of an inference request that means well is longer; Node itself takes 16 KiB. */
const MAX_HEAD_BYTES = 8192
const REQUEST_LINE = /^(GET|POST) (\/[!-~]*) HTTP\/1\.1\r\n/
/** A field of RFC 9112, 5: of fewer characters than it allows, without folded lines, nothing but a space around its value. */
const FIELD = /([A-Za-z0-9_-]+): ?([!-~](?:[ -~]*[!-~])?)\r\n/y
const LENGTH = /^(?:0|[1-9]\d{0,14})$/
/** What changes how a request is to be read. */
const UNUSUAL = ['transfer-encoding', 'expect', 'upgrade', 'te', 'trailer', 'proxy-connection']

/**
 * The head of a GET or POST (RFC 9112) that begins with the first of these bytes and ends among them. Undefined for all that is not
 * written in the plainest way, right or wrong: another method or version, a header twice, chunks, a head in parts. It is to be
 * read by who knows all of HTTP.
 */
export function readPlainHead(bytes: Buffer): PlainHead | undefined {
  const text = bytes.toString('latin1', 0, Math.min(bytes.byteLength, MAX_HEAD_BYTES))
  const end = text.indexOf('\r\n\r\n')
  const [line, method, url] = REQUEST_LINE.exec(text) ?? []
  if (end < 0 || line === undefined || url === undefined) return undefined
  const headers: Record<string, string> = {}
  let at = line.length
  while (at < end) {
    FIELD.lastIndex = at
    const [field = '', name = '', value = ''] = FIELD.exec(text) ?? []
    if (field === '') return undefined
    const key = name.toLowerCase()
    // Also names of what all objects have.
    if (key in headers) return undefined
    headers[key] = value
    at += field.length
  }
  // What only asks has no body, and says nothing of one.
  if (method === 'GET' && 'content-length' in headers) return undefined
  const length = method === 'GET' ? '0' : headers['content-length']
  const connection = (headers.connection ?? 'keep-alive').toLowerCase()
  if (length === undefined || !LENGTH.test(length) || headers.host === undefined) return undefined
  if (connection !== 'keep-alive' && connection !== 'close') return undefined
  if (UNUSUAL.some((name) => name in headers)) return undefined
  const header: Header = (name) => headers[name]
  return {
    method: method as PlainHead['method'],
    url,
    headers,
    header,
    derive: deriver(header),
    bytes: Buffer.from(bytes.subarray(0, end + 4)),
    bodyBytes: Number(length),
    closes: connection === 'close',
  }
}

/** Each `make` reads the same headers once. */
function deriver(header: Header): PlainHead['derive'] {
  const made = new Map<unknown, unknown>()
  return <T>(make: (header: Header) => T): T => {
    const known = made.get(make)
    if (known !== undefined) return known as T
    const value = make(header)
    made.set(make, value)
    return value
  }
}
