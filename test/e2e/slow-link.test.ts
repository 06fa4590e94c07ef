import { afterAll, beforeAll, expect, it } from 'vitest'
import { startChunkProxy } from '../support/chunk-requests.js'
import { FLEET, type Loop, START_MS, startLoop } from '../support/loop.js'
import { onBothTransports } from '../support/transports.js'
import { registerVersion } from '../support/version.js'

const BYTES_PER_SECOND = 20_000
/** Heads of messages and what is not payload: greetings, desired state, acknowledgements. */
const OVERHEAD_BYTES = 12_000

onBothTransports((natsServer) => {
  let loop: Loop
  beforeAll(async () => {
    loop = await startLoop({ natsServer })
  }, START_MS)
  afterAll(() => loop?.close())

  it('brings a model of 400 KB over a link of 20 kB/s with no byte fetched twice', { timeout: 300_000 }, async () => {
    const proxy = await startChunkProxy(loop.port, {
      bytesPerSecond: BYTES_PER_SECOND,
      bytesPerSecondUp: BYTES_PER_SECOND,
    })
    loop.defer(() => proxy.close())
    const big = await registerVersion(loop.client, 'line', { seed: 1, features: 784, outputs: 128 })
    expect(big.bytes).toBeGreaterThan(400_000)
    await loop.client.deploy({ model: 'line', version: 'latest', fleet: FLEET })
    const startedAt = performance.now()
    const device = await loop.device({ device: 'far-1', port: proxy.port })
    const { bytesFetched } = await device.untilActive(big, 80_000)
    const seconds = (performance.now() - startedAt) / 1000
    expect(bytesFetched).toBe(big.bytes)
    const requests = proxy.requests()
    expect(new Set(requests).size).toBe(requests.length)
    expect(requests).toHaveLength(big.chunkCount)
    expect(proxy.bytes.down).toBeGreaterThanOrEqual(big.bytes)
    expect(proxy.bytes.down).toBeLessThanOrEqual(big.bytes + OVERHEAD_BYTES)
    expect(seconds).toBeGreaterThan(big.bytes / BYTES_PER_SECOND - 1)
    for (const [i, value] of (await device.infer('line', big.input)).entries())
      expect(value).toBeCloseTo(big.answer[i]!, 4)
  })
})
