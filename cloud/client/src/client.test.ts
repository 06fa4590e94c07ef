import { createHash, randomBytes } from 'node:crypto'
import { type Envelope, limits, sha256Hex, type Tensors, writeManifest } from '@tideway/core'
import { type Listener, listen, optionsSchema } from '@tideway/server-http'
import { openTestServices, putTestVersion, type TestServices } from '@tideway/test/support/cloud-services'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Client, createClient } from './client.js'

const AT = '2026-01-01T00:00:00.000Z'
let services: TestServices
let server: Listener
let client: Client
/** What the client sent, as `METHOD path`. */
const sent: string[] = []

beforeAll(async () => {
  services = await openTestServices()
  server = await listen(services, optionsSchema.parse({ port: 0 }))
  client = createClient({
    url: `${server.url}/`,
    fetch: (input, init) => {
      sent.push(`${init?.method ?? 'GET'} ${new URL(input as string).pathname}`)
      return fetch(input, init)
    },
  })
})
afterAll(async () => {
  await server?.stop()
  await services?.close()
})

describe('models and versions', () => {
  it('are published chunk by chunk, registered, aliased and read back', async () => {
    const { manifest } = await putTestVersion(services, 'digits', 'published')
    const [chunk] = await client.putChunks([writeManifest(manifest)])
    const order = { manifestDigest: chunk!.sha256, runId: 'run-1', aliases: ['latest'] }
    const { version, created } = await client.registerVersion('digits', order)
    expect([created, version.version]).toEqual([true, 1])
    expect(await client.version('digits', 'latest')).toEqual({ version, manifest })
    expect(await client.version('digits', 1)).toEqual({ version, manifest })
    expect(await client.setAlias('digits', 'stable', 1)).toMatchObject({ alias: 'stable', version: 1 })
    expect(await client.aliasHistory('digits', 'stable')).toHaveLength(1)
    expect((await client.models()).map(({ name }) => name)).toEqual(['digits'])
    const { aliases, versions } = await client.model('digits')
    expect([aliases.length, versions]).toEqual([2, [version]])
  })

  it('that are not there throw what the cloud threw', async () => {
    await expect(client.model('nothing')).rejects.toMatchObject({
      name: 'TidewayError',
      code: 'MODEL_NOT_FOUND',
      status: 404,
      data: { model: 'nothing' },
    })
    await expect(client.version('../../etc', 1)).rejects.toMatchObject({ code: 'INPUT_REJECTED' })
  })
})

describe('chunks and blobs', () => {
  it('are sent only where they are missing', async () => {
    const chunks = Array.from({ length: 12 }, () => randomBytes(100))
    const first = await client.putChunks(chunks.slice(0, 8))
    expect(first).toEqual(chunks.slice(0, 8).map((bytes) => ({ sha256: sha256Hex(bytes), size: 100 })))
    sent.length = 0
    const progress: number[] = []
    const all = await client.putChunks([...chunks, chunks[0]!], {
      onProgress: ({ sentBytes, ofBytes }) => progress.push(sentBytes / ofBytes),
    })
    expect(all).toHaveLength(13)
    expect(sent.filter((line) => line.startsWith('PUT'))).toHaveLength(4)
    expect(progress).toEqual([0.25, 0.5, 0.75, 1])
    expect(Buffer.from(await client.getChunk(all[3]!.sha256))).toEqual(chunks[3])
    await expect(client.getChunk('0'.repeat(64))).rejects.toMatchObject({ code: 'CHUNK_NOT_FOUND' })
    await expect(client.putChunks([Buffer.alloc(limits.maxChunkBytes + 1)])).rejects.toMatchObject({
      code: 'TOO_LARGE',
    })
  })

  it('go up once, come down whole or in part', async () => {
    const bytes = randomBytes(300_000)
    const ref = await client.putBlob(bytes)
    expect(ref).toMatchObject({ sha256: createHash('sha256').update(bytes).digest('hex'), size: 300_000 })
    sent.length = 0
    expect(await client.putBlob(bytes)).toEqual(ref)
    expect(sent.some((line) => line.startsWith('PUT'))).toBe(false)
    expect(Buffer.from(await client.getBlob(ref.sha256)).equals(bytes)).toBe(true)
    const stream = await client.getBlobStream(ref.sha256, { first: 100_000, last: 200_000 })
    const part = await new Response(stream).arrayBuffer()
    expect(Buffer.from(part).equals(bytes.subarray(100_000, 200_001))).toBe(true)
    expect(await client.blobChunks(ref.sha256)).toEqual(ref)
    expect([await client.hasBlob(ref.sha256), await client.hasBlob('0'.repeat(64))]).toEqual([true, false])
    await expect(client.getBlob('0'.repeat(64))).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND' })
    const beyond = client.getBlobStream(ref.sha256, { first: 300_000 })
    await expect(beyond).rejects.toMatchObject({ code: 'RANGE_NOT_SATISFIABLE' })
  })

  it('stream up under a digest that must come true', async () => {
    const bytes = randomBytes(200_000)
    const stored = await client.putBlobStream(sha256Hex(bytes), new Blob([bytes]).stream())
    expect(stored.size).toBe(200_000)
    const wrong = client.putBlobStream('1'.repeat(64), new Blob([bytes]).stream())
    await expect(wrong).rejects.toMatchObject({ code: 'BLOB_DIGEST_MISMATCH' })
  })

  it('altered on the way are refused', async () => {
    const [chunk] = await client.putChunks([randomBytes(10)])
    const blob = await client.putBlob(randomBytes(10))
    const tampered = createClient({
      url: server.url,
      fetch: async (input, init) => new Response(`x${await (await fetch(input, init)).text()}`),
    })
    await expect(tampered.getChunk(chunk!.sha256)).rejects.toMatchObject({ code: 'CHUNK_DIGEST_MISMATCH' })
    await expect(tampered.getBlob(blob.sha256)).rejects.toMatchObject({ code: 'BLOB_DIGEST_MISMATCH' })
  })
})

describe('devices', () => {
  it('are deployed to, report, and are counted', async () => {
    const report: Envelope = {
      v: 1,
      kind: 'event',
      device: 'till-1',
      fleet: 'shop',
      boot: 'boot-1',
      seq: 1,
      schema: 1,
      from: AT,
      to: AT,
      sentAt: AT,
      body: {},
    }
    await expect(client.desired('till-1', 'shop')).rejects.toMatchObject({ code: 'DESIRED_NOT_SET' })
    const deployment = await client.deploy({ model: 'digits', version: 'latest', fleet: 'shop' })
    expect(await client.desired('till-1', 'shop')).toEqual(deployment.desired[0])
    const acks = await client.sendReports('till-1', [report])
    expect(acks).toEqual([{ fleet: 'shop', device: 'till-1', ack: { v: 1, boot: 'boot-1', seq: 1 } }])
    await client.setReported({ v: 1, device: 'till-1', fleet: 'shop', generation: 1, models: {}, at: AT })
    expect(await client.devices({ fleet: 'shop' })).toMatchObject([{ id: 'till-1', reported: { generation: 1 } }])
    expect(await client.device('till-1')).toMatchObject({ fleet: 'shop' })
    expect(await client.reportCounts({ fleet: 'shop' })).toEqual({ event: 1 })
    expect(await client.drift({ fleet: 'shop' })).toMatchObject([{ fleet: 'shop', flagged: false }])
    expect(await client.audit({ action: 'version.register' })).not.toHaveLength(0)
  })
})

describe('runs', () => {
  it('are created, logged to and read back', async () => {
    await client.createRun({ id: 'run-1', experiment: 'digits', name: 'one' })
    await client.logMetrics('run-1', [{ key: 'val/loss', value: 0.5, step: 1, at: AT }])
    expect(await client.updateRun('run-1', { status: 'finished' })).toMatchObject({ status: 'finished' })
    expect(await client.metricHistory('run-1', 'val/loss')).toMatchObject([{ value: 0.5 }])
    expect(await client.run('run-1')).toMatchObject({ metrics: { 'val/loss': 0.5 } })
    expect(await client.runs({ experiment: 'digits' })).toHaveLength(1)
  })
})

describe('inference', () => {
  it('takes and gives tensors, with integers and floats that JSON finds hard', async () => {
    const x: Tensors = { x: { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, 2, 3.5, -4) } }
    const { version, outputs } = await client.infer('digits', x)
    expect(version).toBe('1')
    expect(outputs).toEqual({
      y: { dtype: 'float32', shape: [2, 2], data: Float32Array.of(2, 4, 7, -8) },
      big: { dtype: 'int64', shape: [1], data: BigInt64Array.of(2n ** 60n + 1n) },
      odd: { dtype: 'float32', shape: [2], data: Float32Array.of(Number.NaN, Infinity) },
    })
    // In binary, so without a copy of what is aligned.
    const bufferOf = (name: string) => (outputs[name]!.data as Float32Array).buffer
    expect(bufferOf('y')).toBe(bufferOf('odd'))
    expect(Object.keys((await client.infer('digits', x, { version: 1, outputs: ['y'] })).outputs)).toEqual(['y'])
    await expect(client.infer('digits', {})).rejects.toMatchObject({ code: 'INPUT_REJECTED', status: 400 })
    const { inputs } = await client.metadata('digits')
    expect(inputs).toEqual([{ name: 'x', dtype: 'float32', shape: [null, 2] }])
  })
})

describe('the process', () => {
  it('says that it is live and ready, and where devices connect', async () => {
    expect(await client.live()).toBe(true)
    expect(await client.ready()).toMatchObject({ ready: true })
    expect(await client.wire()).toEqual(services.wire)
  })
})
