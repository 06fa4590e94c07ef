import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Loop, START_MS, startLoop, type TestDevice } from '../support/loop.js'
import { onBothTransports } from '../support/transports.js'
import { registerVersion, type TestVersion } from '../support/version.js'

onBothTransports((natsServer) => {
  let loop: Loop
  let device: TestDevice
  let good: TestVersion
  const deploy = ({ model, version }: TestVersion) =>
    loop.client.deploy({ model, version: version.version, fleet: device.fleet })
  const expectAnswer = async ({ model, input, answer }: TestVersion) => {
    for (const [i, value] of (await device.infer(model, input)).entries()) expect(value).toBeCloseTo(answer[i]!, 4)
  }

  beforeAll(async () => {
    loop = await startLoop({ natsServer })
    device = await loop.device({ device: 'till-1' })
    good = await registerVersion(loop.client, 'line', { seed: 1 })
    await deploy(good)
    await device.untilActive(good)
  }, START_MS)
  afterAll(() => loop?.close())

  it('does not activate a version whose known answers do not come out, says so to the cloud, and goes on', async () => {
    const bad = await registerVersion(loop.client, 'line', { seed: 2, lie: 0.5 })
    const order = await deploy(bad)
    const reported = await loop.untilReported('till-1', ({ error }) => error !== undefined, 'line')
    expect(reported).toMatchObject({
      status: 'failed',
      manifestDigest: good.manifestDigest,
      error: { code: 'KNOWN_ANSWERS_MISMATCH', manifestDigest: bad.manifestDigest },
    })
    expect((await device.status()).models.line).toMatchObject({
      status: 'failed',
      version: 1,
      generation: order.desired[0]!.generation,
      error: { code: 'KNOWN_ANSWERS_MISMATCH' },
    })
    await expectAnswer(good)
    await expect.poll(async () => (await loop.client.reportCounts({ device: 'till-1' })).event).toBeGreaterThan(0)
  })

  it('takes the older version again, by a higher generation, and then a good newer one', async () => {
    const before = (await device.status()).generation
    const order = await deploy(good)
    expect(order.desired[0]!.generation).toBeGreaterThan(before)
    await device.untilModel('line', ({ status, generation }) => status === 'active' && generation > before)
    const again = await loop.untilReported('till-1', ({ status }) => status === 'active', 'line')
    expect(again).toMatchObject({ manifestDigest: good.manifestDigest })
    expect(again.error).toBeUndefined()
    await expectAnswer(good)
    const better = await registerVersion(loop.client, 'line', { seed: 3 })
    await deploy(better)
    await device.untilActive(better)
    await expectAnswer(better)
  })
})
