import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { garbler } from '../support/garble.js'
import { FLEET, type Loop, START_MS, startLoop, type TestDevice } from '../support/loop.js'
import { startProxy } from '../support/proxy.js'
import { onBothTransports } from '../support/transports.js'
import { registerVersion, type TestVersion } from '../support/version.js'

onBothTransports((natsServer) => {
  let loop: Loop
  let good: TestVersion
  let device: TestDevice
  let dir: string
  let seed = 1
  let alter: ((piece: Buffer) => Buffer) | undefined

  const newVersion = () => registerVersion(loop.client, 'line', { seed: ++seed, features: 784, outputs: 32 })
  const deploy = ({ version }: TestVersion) =>
    loop.client.deploy({ model: 'line', version: version.version, fleet: FLEET })
  const fileOf = (sha256: string) => join(loop.cloud.dir, 'chunks', sha256.slice(0, 2), sha256)

  async function startDevice(): Promise<TestDevice> {
    const proxy = await startProxy(loop.port, { alterDown: (piece) => alter?.(piece) ?? piece })
    loop.defer(() => proxy.close())
    return loop.device({ device: 'till-1', dir, port: proxy.port })
  }

  beforeAll(async () => {
    loop = await startLoop({ natsServer })
    dir = await loop.folder()
    device = await startDevice()
    good = await registerVersion(loop.client, 'line', { seed: 1 })
    await deploy(good)
    await device.untilActive(good)
  }, START_MS)
  afterEach(() => {
    alter = undefined
  })
  afterAll(() => loop?.close())

  /** Refused on the device and known to the cloud, while the old version answers. */
  async function expectRefused(bad: TestVersion): Promise<void> {
    const isRefused = (model: { error?: { code?: string; manifestDigest?: string } }) =>
      model.error?.manifestDigest === bad.manifestDigest
    const reported = await loop.untilReported('till-1', isRefused, 'line')
    expect(reported).toMatchObject({
      status: 'failed',
      manifestDigest: good.manifestDigest,
      error: { code: 'CHUNK_DIGEST_MISMATCH', manifestDigest: bad.manifestDigest },
    })
    const answer = await device.infer('line', good.input)
    for (const [i, value] of answer.entries()) expect(value).toBeCloseTo(good.answer[i]!, 4)
  }

  it('refuses a chunk that was altered on the wire, and takes it once the wire is right', async () => {
    const next = await newVersion()
    alter = garbler(await loop.client.getChunk(next.chunks[0]!))
    await deploy(next)
    await expectRefused(next)
    alter = undefined
    await deploy(next)
    await device.untilActive(next)
    good = next
  })

  it('does not deploy a version whose chunk was altered in the store', async () => {
    const next = await newVersion()
    await garbleFile(fileOf(next.chunks[1]!))
    await expect(deploy(next)).rejects.toMatchObject({ code: 'CHUNK_DIGEST_MISMATCH' })
    expect(await device.infer('line', good.input)).toHaveLength(good.answer.length)
    expect((await device.status()).models.line).toMatchObject({ status: 'active', manifestDigest: good.manifestDigest })
  })

  it('refuses a chunk that was altered in what devices fetch from, and takes it once it is put right', async () => {
    const next = await newVersion()
    const sha256 = next.chunks[0]!
    const right = await loop.client.getChunk(sha256)
    await device.stop()
    await deploy(next)
    const wrong = Buffer.from(right)
    wrong[100] = wrong[100]! ^ 0xff
    await replace(sha256, wrong)
    device = await startDevice()
    await expectRefused(next)
    await replace(sha256, right)
    await deploy(next)
    await device.untilActive(next)
    good = next
  })

  async function garbleFile(path: string): Promise<void> {
    const bytes = await readFile(path)
    bytes[100] = bytes[100]! ^ 0xff
    await writeFile(path, bytes)
  }

  /** Over NATS devices fetch from a stream, over HTTP from the store's files. */
  async function replace(sha256: string, bytes: Uint8Array): Promise<void> {
    if (loop.nats === undefined) return writeFile(fileOf(sha256), bytes)
    const connection = await connect({ servers: loop.nats.url })
    try {
      const manager = await jetstreamManager(connection)
      const subject = `tideway.v1.chunk.${sha256}`
      await manager.streams.purge('TIDEWAY_CHUNKS', { filter: subject })
      await manager.jetstream().publish(subject, bytes)
    } finally {
      await connection.close()
    }
  }
})
