import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import type { JobRecord, Jobs, Serving } from '@tideway/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Rig, startRig } from './rig.fixture.js'

const GIGABYTE = 1024 ** 3
let rig: Rig
/** Gives up soon, which a stall of the machine brings about, too: for what is to be given up alone. */
let hasty: Rig
const unexpected = () => Promise.reject(new Error('the body was let through'))

beforeAll(async () => {
  const jobs: Jobs = { submit: unexpected, update: unexpected, job: unexpected, jobs: unexpected, watch: neverJobs }
  const serving: Serving = { metadata: unexpected, infer: unexpected }
  rig = await startRig({ jobs, serving })
  hasty = await startRig({ jobs, serving }, { limits: { bodyIdleMs: 200 } })
})
afterAll(() => Promise.all([rig?.stop(), hasty?.stop()]))

async function* neverJobs(): AsyncGenerator<JobRecord> {}

/**
 * Writes up to `bytes` of a body as fast as the server takes them, and goes on after the answer until the connection
 * is closed. Answers the status, how much was taken, and the most memory that the process held meanwhile.
 */
async function flood(path: string, bytes: number, contentType: string) {
  const before = process.memoryUsage().rss
  const { hostname, port } = new URL(rig.url)
  const sending = request({ hostname, port, path, method: 'POST', headers: { 'Content-Type': contentType } })
  let status = 0
  let body = ''
  sending.on('response', (response) => {
    status = response.statusCode ?? 0
    response.setEncoding('utf8').on('data', (text: string) => {
      body += text
    })
    response.on('error', () => undefined)
  })
  let open = true
  const closed = new Promise<void>((resolve) => {
    sending.on('close', () => {
      open = false
      resolve()
    })
  })
  sending.on('error', () => undefined)
  const part = Buffer.alloc(1024 ** 2, ' ')
  let sent = 0
  let peak = before
  while (open && sent < bytes) {
    const room = sending.write(part)
    sent += part.length
    peak = Math.max(peak, process.memoryUsage().rss)
    if (!room) await Promise.race([once(sending, 'drain').catch(() => undefined), closed])
  }
  if (open) sending.end()
  await closed
  return { status, code: codeIn(body), sent, grownBytes: peak - before }
}

function codeIn(body: string): unknown {
  const parsed = JSON.parse(body) as { code?: string; error: { code?: string } }
  return parsed.code ?? parsed.error.code
}

describe('a body of 1 GB', () => {
  it.each([
    ['/v1/jobs', 'application/json'],
    ['/v1/models/digits/versions', 'application/json'],
    ['/v1/devices/till-1/reports', 'application/json'],
    ['/v2/models/digits/infer', 'application/json'],
  ])('of undeclared length is refused at %s without being held or read to its end', async (path, type) => {
    const { status, code, sent, grownBytes } = await flood(path, GIGABYTE, type)
    expect({ status, code }).toEqual({ status: 413, code: 'TOO_LARGE' })
    expect(sent).toBeLessThan(200 * 1024 ** 2)
    expect(grownBytes).toBeLessThan(200 * 1024 ** 2)
  })

  it('of declared length is refused before any of it is read', async () => {
    const socket = await open()
    socket.write(head('/v1/jobs', `Content-Length: ${GIGABYTE}`))
    expect(await readAll(socket)).toMatch(/^HTTP\/1\.1 413 /)
  })
})

describe('a body that', () => {
  it.each([
    ['is not JSON', '{"a":', 'JSON_INVALID', 400],
    ['is not UTF-8', Uint8Array.of(0x22, 0xff, 0x22), 'JSON_INVALID', 400],
    ['is empty', '', 'JSON_INVALID', 400],
    ['is another thing', '"text"', 'INPUT_REJECTED', 400],
  ])('%s is refused', async (_, body, code, status) => {
    for (const path of ['/v1/jobs', '/v2/models/digits/infer']) {
      const headers = { 'Content-Type': 'application/json; charset=utf-8' }
      const response = await fetch(rig.url + path, { method: 'POST', headers, body })
      expect([response.status, codeIn(await response.text())]).toEqual([status, code])
    }
  })

  it('is nested far too deep is refused', async () => {
    const body = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    const headers = { 'Content-Type': 'application/json' }
    // The codec of inference looks no deeper than the list that it wants no list for.
    for (const [path, code] of [
      ['/v1/jobs', 'JSON_TOO_DEEP'],
      ['/v2/models/digits/infer', 'INPUT_REJECTED'],
    ] as const) {
      const response = await fetch(rig.url + path, { method: 'POST', headers, body })
      expect([response.status, codeIn(await response.text())]).toEqual([400, code])
    }
  })

  it.each([{}, { 'Content-Type': 'text/plain' }, { 'Content-Type': 'multipart/form-data' }])(
    'comes with content type %o is refused, as a page of another origin could send it',
    async (headers) => {
      const body = new Blob(['{}'])
      const response = await fetch(`${rig.url}/v1/jobs`, {
        method: 'POST',
        headers: new Headers(headers as HeadersInit),
        body,
      })
      expect([response.status, codeIn(await response.text())]).toEqual([415, 'CONTENT_TYPE_UNSUPPORTED'])
    },
  )

  it('stops arriving is given up', async () => {
    const socket = await open(hasty)
    socket.write(`${head('/v1/jobs', 'Content-Length: 100')}{"model":`)
    expect(await readAll(socket)).toMatch(/^HTTP\/1\.1 408 [^]*BODY_STALLED/)
  })

  it('is cut off does not trouble the server', async () => {
    const socket = await open()
    socket.write(`${head('/v1/jobs', 'Content-Length: 100')}{"model":`)
    socket.destroy()
    expect(await rig.call('GET', '/v1/health/live')).toMatchObject({ status: 200 })
  })
})

describe('a process without a role', () => {
  it('says so on routes of that role', async () => {
    expect(await rig.call('GET', '/v1/models')).toMatchObject({ status: 503, code: 'ROLE_NOT_HERE' })
    expect(await rig.call('GET', '/v1/drift')).toMatchObject({ status: 503, code: 'ROLE_NOT_HERE' })
    expect(await rig.call('GET', '/v1/wire')).toMatchObject({ status: 503, code: 'ROLE_NOT_HERE' })
  })
})

async function open({ url } = rig) {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

function head(path: string, ...lines: string[]): string {
  return `${[`POST ${path} HTTP/1.1`, 'Host: 127.0.0.1', 'Content-Type: application/json', ...lines].join('\r\n')}\r\n\r\n`
}

async function readAll(socket: Awaited<ReturnType<typeof open>>): Promise<string> {
  let text = ''
  socket.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  await once(socket, 'close')
  return text
}
