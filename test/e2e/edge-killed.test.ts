import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type ChunkProxy, startChunkProxy } from '../support/chunk-requests.js'
import { FLEET, type Loop, START_MS, startLoop } from '../support/loop.js'
import { eventually } from '../support/process.js'
import { onBothTransports } from '../support/transports.js'
import { registerVersion } from '../support/version.js'

onBothTransports((natsServer) => {
  let loop: Loop
  beforeAll(async () => {
    loop = await startLoop({ natsServer })
  }, START_MS)
  afterAll(() => loop?.close())

  async function openProxy(bytesPerSecond?: number): Promise<ChunkProxy> {
    const proxy = await startChunkProxy(loop.port, { bytesPerSecond })
    loop.defer(() => proxy.close())
    return proxy
  }

  it('fetches only what is missing after a SIGKILL in the middle of a download, and ends active', async () => {
    const { client } = loop
    const small = await registerVersion(client, 'line', { seed: 1 })
    const big = await registerVersion(client, 'line', { seed: 2, features: 784, outputs: 128 })
    await client.deploy({ model: 'line', version: small.version.version, fleet: FLEET })
    const dir = await loop.folder()
    // Some ten seconds for all of it, so that the kill comes in its middle on a busy machine, too.
    const slow = await openProxy(40_000)
    const first = await loop.device({ device: 'till-1', dir, port: slow.port })
    await first.untilActive(small)

    await client.deploy({ model: 'line', version: 'latest', fleet: FLEET })
    const wanted = [...new Set(big.chunks)]
    const onDisk = async () => {
      const names = await readdir(join(dir, 'chunks'), { recursive: true })
      return wanted.filter((sha256) => names.includes(join(sha256.slice(0, 2), sha256)))
    }
    await eventually('some chunks are there', async () => (await onDisk()).length >= 2)
    await first.stop('SIGKILL')
    const kept = await onDisk()
    expect(kept.length).toBeLessThan(wanted.length)

    const fast = await openProxy()
    const again = await loop.device({ device: 'till-1', dir, port: fast.port })
    const { bytesFetched } = await again.untilActive(big)
    const requests = fast.requests()
    expect(new Set(requests).size).toBe(requests.length)
    expect(requests.filter((sha256) => kept.includes(sha256))).toEqual([])
    for (const sha256 of wanted) expect([...kept, ...requests]).toContain(sha256)
    const { files } = big.manifest.variants[0]!
    const keptBytes = files[0]!.chunks.reduce((sum, { sha256, size }) => sum + (kept.includes(sha256) ? size : 0), 0)
    expect(bytesFetched).toBeLessThanOrEqual(big.bytes - keptBytes)
    expect(await again.infer('line', big.input)).toHaveLength(128)
    // The outbox writes by temporary files too: none stays.
    await eventually('no temporary file is left', async () => (await readdir(join(dir, 'tmp'))).length === 0)
  })

  it('answers with what was active as soon as it is started again, without the cloud', async () => {
    const dir = await loop.folder()
    const device = await loop.device({ device: 'till-2', dir })
    const { manifest, version } = await client().version('line', 'latest')
    const digest = version.manifestDigest
    await device.untilModel('line', (now) => now.status === 'active' && now.manifestDigest === digest)
    await device.stop('SIGKILL')
    const nowhere = await openProxy()
    nowhere.cut()
    const again = await loop.device({ device: 'till-2', dir, port: nowhere.port })
    const width = manifest.signature.inputs[0]!.shape[1]!
    expect(await again.infer('line', new Float32Array(width))).toHaveLength(128)
    expect(await again.status()).toMatchObject({ connected: false, models: { line: { manifestDigest: digest } } })
  })

  const client = () => loop.client
})
