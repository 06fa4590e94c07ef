import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { FLEET, type Loop, START_MS, startLoop, type TestDevice } from '../support/loop.js'
import { eventually } from '../support/process.js'
import { describeWithSmallDisk, mountSmallDisk, type SmallDisk } from '../support/small-disk.js'
import { registerVersion, type TestVersion } from '../support/version.js'

describeWithSmallDisk("a device's disk that cannot be written", () => {
  let loop: Loop
  let small: TestVersion
  let big: TestVersion

  beforeAll(async () => {
    loop = await startLoop()
    small = await registerVersion(loop.client, 'line', { seed: 1 })
    big = await registerVersion(loop.client, 'line', { seed: 2, features: 784, outputs: 128 })
  }, START_MS)
  afterAll(() => loop?.close())

  const deploy = ({ version }: TestVersion, device: string) =>
    loop.client.deploy({ model: 'line', version: version.version, fleet: FLEET, devices: [device] })
  const expectAnswer = async (device: TestDevice, { input, answer }: TestVersion) => {
    for (const [i, value] of (await device.infer('line', input)).entries()) expect(value).toBeCloseTo(answer[i]!, 3)
  }

  async function disk(kibibytes: number): Promise<SmallDisk> {
    const mounted = mountSmallDisk(await loop.folder(), kibibytes)
    loop.defer(() => mounted.unmount())
    return mounted
  }

  async function running(id: string, { dir }: SmallDisk): Promise<TestDevice> {
    const device = await loop.device({ device: id, dir })
    await deploy(small, id)
    await device.untilActive(small)
    return device
  }

  const said = (device: string, code: string) => loop.untilReported(device, ({ error }) => error?.code === code, 'line')

  it('because it is full: EDGE_DISK_FULL, inference goes on, and the update follows when there is room', async () => {
    const tight = await disk(300)
    const device = await running('till-1', tight)
    await deploy(big, 'till-1')
    expect(await said('till-1', 'EDGE_DISK_FULL')).toMatchObject({
      status: 'failed',
      manifestDigest: small.manifestDigest,
      error: { manifestDigest: big.manifestDigest },
    })
    await expectAnswer(device, small)
    tight.remount('size=4m')
    await device.untilActive(big)
    await expectAnswer(device, big)
    await loop.untilReported('till-1', ({ status }) => status === 'active', 'line')
  })

  it('because it is full when the agent starts: what was active answers, and the cloud hears of it', async () => {
    const tight = await disk(300)
    const device = await running('till-2', tight)
    await device.stop()
    const before = (await loop.client.reportCounts({ device: 'till-2' })).state!
    const filler = writeFile(join(tight.dir, 'filler'), new Uint8Array(1024 ** 2))
    await expect(filler).rejects.toMatchObject({ code: 'ENOSPC' })
    const again = await loop.device({ device: 'till-2', dir: tight.dir })
    await expectAnswer(again, small)
    await expect.poll(async () => (await loop.client.reportCounts({ device: 'till-2' })).state).toBeGreaterThan(before)
    expect((await again.status()).outbox.dropped).toBe(0)
  })

  it('because it is read-only: EDGE_DISK_READ_ONLY, inference goes on, also after a restart, until it is not', async () => {
    const locked = await disk(4_096)
    const device = await running('till-3', locked)
    await device.flush()
    await eventually('nothing is being written', async () => {
      const reports = await readdir(join(locked.dir, 'outbox'), { recursive: true })
      return reports.every((name) => !name.endsWith('.json')) && becomesReadOnly(locked)
    })
    await deploy(big, 'till-3')
    expect(await said('till-3', 'EDGE_DISK_READ_ONLY')).toMatchObject({ manifestDigest: small.manifestDigest })
    await expectAnswer(device, small)
    await device.stop()
    const again = await loop.device({ device: 'till-3', dir: locked.dir })
    await expectAnswer(again, small)
    locked.remount('rw')
    await again.untilActive(big)
    await expectAnswer(again, big)
  })
})

/** The kernel refuses while a file is open for writing. */
function becomesReadOnly(disk: SmallDisk): boolean {
  try {
    disk.remount('ro')
    return true
  } catch {
    return false
  }
}
