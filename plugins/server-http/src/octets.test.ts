import { createHash, randomBytes } from 'node:crypto'
import { limits } from '@tideway/core'
import { openTestServices, type TestServices } from '@tideway/test/support/cloud-services'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Rig, startRig } from './rig.fixture.js'

let services: TestServices
let rig: Rig
const nameOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

beforeAll(async () => {
  services = await openTestServices()
  rig = await startRig(services, { limits: { maxBlobBytes: 4 * 1024 ** 2 } })
})
afterAll(async () => {
  await rig?.stop()
  await services?.close()
})

function put(path: string, body: BodyInit, type = 'application/octet-stream'): Promise<Response> {
  return fetch(rig.url + path, {
    method: 'PUT',
    headers: { 'Content-Type': type },
    body,
    duplex: 'half',
  } as RequestInit)
}

async function codeOf(response: Response): Promise<string> {
  return ((await response.json()) as { error: { code: string } }).error.code
}

async function bytesOf(response: Response): Promise<Buffer> {
  return Buffer.from(await response.arrayBuffer())
}

describe('chunks', () => {
  const bytes = randomBytes(1_000)
  const name = nameOf(bytes)

  it('are stored, found, and served with what caches need', async () => {
    const before = await rig.call('POST', '/v1/chunks/missing', { sha256s: [name] })
    expect(before.body).toEqual({ missing: [name] })
    expect((await put(`/v1/chunks/${name}`, bytes)).status).toBe(204)
    expect((await put(`/v1/chunks/${name}`, bytes)).status).toBe(204)
    expect((await rig.call('POST', '/v1/chunks/missing', { sha256s: [name] })).body).toEqual({ missing: [] })
    const response = await fetch(`${rig.url}/v1/chunks/${name}`)
    expect(await bytesOf(response)).toEqual(bytes)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      etag: `"${name}"`,
      'cache-control': 'public, max-age=31536000, immutable',
      'content-length': '1000',
      'accept-ranges': 'bytes',
    })
    const head = await fetch(`${rig.url}/v1/chunks/${name}`, { method: 'HEAD' })
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '1000'])
  })

  it('are refused when they are too large, of another digest, or of another type', async () => {
    const large = Buffer.alloc(limits.maxChunkBytes + 1)
    const tooLarge = await put(`/v1/chunks/${nameOf(large)}`, large)
    expect([tooLarge.status, await codeOf(tooLarge)]).toEqual([413, 'TOO_LARGE'])
    const wrong = await put(`/v1/chunks/${'a'.repeat(64)}`, bytes)
    expect([wrong.status, await codeOf(wrong)]).toEqual([422, 'CHUNK_DIGEST_MISMATCH'])
    const typed = await put(`/v1/chunks/${name}`, bytes, 'text/plain')
    expect([typed.status, await codeOf(typed)]).toEqual([415, 'CONTENT_TYPE_UNSUPPORTED'])
    expect(await rig.call('GET', `/v1/chunks/${'a'.repeat(64)}`)).toMatchObject({ code: 'CHUNK_NOT_FOUND' })
    expect(await rig.call('GET', '/v1/chunks/..%2F..%2Fetc%2Fpasswd')).toMatchObject({ code: 'INPUT_REJECTED' })
    expect(await rig.call('POST', '/v1/chunks/missing', { sha256s: ['x'] })).toMatchObject({ code: 'INPUT_REJECTED' })
  })
})

describe.each([
  { what: 'a chunk', path: 'chunks', size: 1_000 },
  { what: 'a blob of several chunks', path: 'blobs', size: 3 * limits.targetChunkBytes + 17 },
])('ranges of $what', ({ path, size }) => {
  const bytes = randomBytes(size)
  const url = () => `${rig.url}/v1/${path}/${nameOf(bytes)}`
  const get = (headers: Record<string, string>) => fetch(url(), { headers })

  beforeAll(async () => {
    expect((await put(`/v1/${path}/${nameOf(bytes)}`, bytes)).ok).toBe(true)
  })

  it.each([
    ['the first bytes', 'bytes=0-9', 0, 9],
    ['bytes across the middle', `bytes=${Math.floor(size / 3)}-${size - 2}`, Math.floor(size / 3), size - 2],
    ['from an offset to the end', 'bytes=500-', 500, size - 1],
    ['the last bytes', 'bytes=-7', size - 7, size - 1],
    ['more than there is', `bytes=500-${size * 2}`, 500, size - 1],
    ['a suffix longer than all', `bytes=-${size * 2}`, 0, size - 1],
  ])('answers %s', async (_, range, first, last) => {
    const response = await get({ Range: range })
    expect(response.status).toBe(206)
    expect(response.headers.get('content-range')).toBe(`bytes ${first}-${last}/${size}`)
    expect((await bytesOf(response)).equals(bytes.subarray(first, last + 1))).toBe(true)
  })

  it.each(['bytes=9-3', 'lines=1-2', 'bytes=0-1,4-5', 'bytes=a-b', 'bytes=-'])('sends all for %s', async (range) => {
    const response = await get({ Range: range })
    expect(response.status).toBe(200)
    expect((await bytesOf(response)).equals(bytes)).toBe(true)
  })

  it.each([`bytes=${size}-`, 'bytes=-0'])('cannot satisfy %s', async (range) => {
    const response = await get({ Range: range })
    expect([response.status, response.headers.get('content-range')]).toEqual([416, `bytes */${size}`])
    expect(await codeOf(response)).toBe('RANGE_NOT_SATISFIABLE')
  })

  it('heeds If-None-Match and If-Range', async () => {
    const etag = `"${nameOf(bytes)}"`
    expect((await get({ 'If-None-Match': `"other", W/${etag}` })).status).toBe(304)
    const same = await get({ Range: 'bytes=0-1', 'If-Range': etag })
    const other = await get({ Range: 'bytes=0-1', 'If-Range': '"other"' })
    expect([same.status, other.status]).toEqual([206, 200])
    await Promise.all([same.body?.cancel(), other.body?.cancel()])
  })
})

describe('blobs', () => {
  it('are cut into chunks while they stream in, and are whole when they come back', async () => {
    const bytes = randomBytes(1_000_003)
    const name = nameOf(bytes)
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < bytes.length; at += 7_777) controller.enqueue(bytes.subarray(at, at + 7_777))
        controller.close()
      },
    })
    const stored = await put(`/v1/blobs/${name}`, stream)
    expect(stored.status).toBe(201)
    const ref = (await stored.json()) as { size: number; chunks: { size: number }[] }
    expect(ref.size).toBe(bytes.length)
    expect(ref.chunks.map(({ size }) => size)).toEqual([...Array<number>(15).fill(65_536), 1_000_003 - 15 * 65_536])
    expect((await rig.call('GET', `/v1/blobs/${name}/chunks`)).body).toEqual(ref)
    const whole = await fetch(`${rig.url}/v1/blobs/${name}`)
    expect((await bytesOf(whole)).equals(bytes)).toBe(true)
    const head = await fetch(`${rig.url}/v1/blobs/${name}`, { method: 'HEAD' })
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '1000003'])
  })

  it('may be empty', async () => {
    const name = nameOf(new Uint8Array())
    expect((await put(`/v1/blobs/${name}`, new Uint8Array())).status).toBe(201)
    expect(await bytesOf(await fetch(`${rig.url}/v1/blobs/${name}`))).toHaveLength(0)
  })

  it('of another digest are not recorded', async () => {
    const name = 'd'.repeat(64)
    const response = await put(`/v1/blobs/${name}`, randomBytes(100_000))
    expect([response.status, await codeOf(response)]).toEqual([422, 'BLOB_DIGEST_MISMATCH'])
    expect(await rig.call('GET', `/v1/blobs/${name}`)).toMatchObject({ status: 404, code: 'BLOB_NOT_FOUND' })
    expect(await rig.call('GET', `/v1/blobs/${name}/chunks`)).toMatchObject({ status: 404, code: 'BLOB_NOT_FOUND' })
    expect((await fetch(`${rig.url}/v1/blobs/${name}`, { method: 'HEAD' })).status).toBe(404)
  })

  it('over the limit are refused, also when their length is not declared', async () => {
    const declared = await put(`/v1/blobs/${'e'.repeat(64)}`, Buffer.alloc(4 * 1024 ** 2 + 1))
    expect([declared.status, await codeOf(declared)]).toEqual([413, 'TOO_LARGE'])
    let sent = 0
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent++ === 5 * 16) controller.close()
        else controller.enqueue(new Uint8Array(65_536))
      },
    })
    const chunked = await put(`/v1/blobs/${'e'.repeat(64)}`, stream)
    expect([chunked.status, await codeOf(chunked)]).toEqual([413, 'TOO_LARGE'])
  })

  it('with an altered chunk answer its code instead of bytes', async () => {
    const bytes = randomBytes(100)
    const ref = { sha256: nameOf(bytes), size: 100, chunks: [{ sha256: 'f'.repeat(64), size: 100 }] }
    const chunkStore = { ...services.chunkStore, blob: () => Promise.resolve(ref) }
    const broken = await startRig({ chunkStore })
    expect(await broken.call('GET', `/v1/blobs/${ref.sha256}`)).toMatchObject({ code: 'CHUNK_NOT_FOUND' })
    await broken.stop()
  })
})
