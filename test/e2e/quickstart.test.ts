import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Client, createClient } from '@tideway/client'
import type { Manifest } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { startTideway, tideway, tidewayJson } from '../support/command.js'
import { type OnFinished, temporaryFolder } from '../support/folder.js'
import { eventually } from '../support/process.js'
import { describeWithServer } from '../support/servers.js'

interface Shown {
  readonly version: number
  readonly manifestDigest: string
  readonly seed: number
  readonly devices: readonly { id: string; pid: number; digest: string; bytesFetched: number; driftFlagged: boolean }[]
  readonly [field: string]: unknown
}

const digest = expect.stringMatching(/^[0-9a-f]{64}$/) as string
const positive = expect.toSatisfy((value: unknown) => typeof value === 'number' && value > 0) as number
const pid = expect.toSatisfy((value: unknown) => Number.isInteger(value) && Number(value) > 1) as number

/** What must be shown for so many devices, each with its share of the 2,000 held-out images. */
function expected(transport: string, count: number, dirtyLens = true) {
  const rate = (least: number) => expect.toSatisfy((value: number) => value >= least && value <= 1) as number
  return {
    model: 'digits',
    manifestDigest: digest,
    fleet: expect.stringMatching(/^quickstart-[0-9a-f]{8}$/) as string,
    transport,
    train: { rows: 7_000, epochs: positive, seconds: positive, samplesPerSecond: positive },
    accuracy: { fp32: rate(0.94), int8: rate(0.935) },
    bytes: { fp32: positive, int8: positive },
    alarmRate: 0.001,
    dirtyLens,
    devices: Array.from({ length: count }, (_, i) => ({
      id: `device-${i + 1}`,
      pid,
      digest,
      active: true,
      inferences: Math.floor(2_000 / count),
      errors: 0,
      p50Ms: positive,
      p99Ms: positive,
      driftFlagged: dirtyLens && i === count - 1,
      driftScore: expect.any(Number) as number,
      bytesFetched: positive,
    })),
    seconds: positive,
    failures: [],
  }
}

/** Processes whose command line names the directory. */
async function processesIn(dir: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'pid=,args='])
  return stdout.split('\n').filter((line) => line.includes(dir) && !/bin\.js quickstart /.test(line))
}

/** A directory of which nothing runs any more after the test, whatever happened in it. */
async function directory(onFinished: OnFinished): Promise<string> {
  const dir = await temporaryFolder(onFinished)
  onFinished(async () => void (await tideway(['down', '--dir', dir])))
  return dir
}

async function clientIn(dir: string): Promise<Client> {
  const { url } = JSON.parse(await readFile(join(dir, 'cloud.json'), 'utf8')) as { url: string }
  return createClient({ url })
}

/** Bytes that a device has to fetch for `next` when it has `before`. */
function bytesToFetch(next: Manifest, before: Manifest, variant: string): number {
  const chunksOf = ({ variants }: Manifest) =>
    variants
      .filter(({ id }) => id === variant)
      .flatMap(({ files, knownAnswers }) => [...files, knownAnswers].flatMap(({ chunks }) => chunks))
  const had = new Set(chunksOf(before).map(({ sha256 }) => sha256))
  const missing = new Map(chunksOf(next).map(({ sha256, size }) => [sha256, size]))
  for (const sha256 of had) missing.delete(sha256)
  return [...missing.values()].reduce((sum, size) => sum + size, 0)
}

describe.concurrent('the quickstart, as a newcomer runs it', () => {
  it('shows the whole loop; run again it trains further, and the running devices fetch what changed', async ({
    onTestFinished,
  }) => {
    const dir = await directory(onTestFinished)
    const first = await tidewayJson<Shown>(['quickstart', '--dir', dir, '--devices', '2', '--keep'])
    expect(first).toEqual({ ...expected('embedded', 2), version: 1, seed: 1 })
    expect(new Set(first.devices.map((device) => device.pid)).size).toBe(2)
    const client = await clientIn(dir)
    const { manifest } = await client.version('digits', 1)
    for (const device of first.devices)
      expect(device.digest).toBe(manifest.variants.find(({ precision }) => precision === 'int8')?.files[0]?.sha256)

    const there = ['--dir', dir]
    const { models } = await tidewayJson<{ models: unknown }>(['models', ...there])
    expect(models).toMatchObject([
      { versions: [{ version: 1, manifestDigest: first.manifestDigest }], aliases: [{ alias: 'latest', version: 1 }] },
    ])
    const { devices } = await tidewayJson<{ devices: object[] }>(['devices', ...there])
    const active = { digits: { status: 'active', manifestDigest: first.manifestDigest } }
    expect(devices).toMatchObject(first.devices.map(({ id }) => ({ id, reported: { models: active } })))
    const { verdicts } = await tidewayJson<{ verdicts: { device?: string; flagged: boolean }[] }>(['drift', ...there])
    expect(verdicts.filter(({ flagged, device }) => flagged && device !== undefined)).toMatchObject([
      { device: 'device-2' },
    ])
    for (const [command, says] of [
      ['models', /digits:1.*latest/],
      ['devices', /device-1.*digits:1.*active/],
      ['drift', /device-2.*DRIFT/],
      ['jobs', /digits.*finished/],
    ] as const) {
      const { code, output } = await tideway([command, ...there])
      expect(code, output).toBe(0)
      expect(output).toMatch(says)
    }

    const refused = await tideway(['quickstart', ...there, '--devices', '2', '--transport', 'nats', '--json'])
    expect(refused).toMatchObject({ code: 1, json: { error: { code: 'CLOUD_ALREADY_RUNNING' } } })

    const again = ['quickstart', ...there, '--devices', '2', '--keep', '--no-dirty-lens']
    const second = await tidewayJson<Shown>(again)
    expect(second).toEqual({ ...expected('embedded', 2, false), version: 2, seed: 2 })
    expect(second.devices.map((device) => device.pid)).toEqual(first.devices.map((device) => device.pid))
    const next = await client.version('digits', 2)
    expect(next.manifest.lineage).toMatchObject({ parent: first.manifestDigest, splitSeed: 1, seed: 2 })
    const variant = next.manifest.variants.find(({ precision }) => precision === 'int8')!
    const manifestBytes = (await client.getChunk(second.manifestDigest)).byteLength
    const changed = bytesToFetch(next.manifest, manifest, variant.id) + manifestBytes
    for (const device of second.devices) expect(device.bytesFetched).toBe(changed)

    const { stopped } = await tidewayJson<{ stopped: { name: string; pid: number }[] }>(['down', ...there])
    expect(stopped.map(({ name }) => name).sort()).toEqual(['cloud', 'device-1', 'device-2'])
    expect(await processesIn(dir)).toEqual([])
    expect((await tideway(['down', ...there])).output).toBe(`nothing runs in ${dir}`)
    expect(await tideway(['devices', ...there, '--json'])).toMatchObject({
      code: 1,
      json: { error: { code: 'CLOUD_NOT_RUNNING' } },
    })
  }, 300_000)

  it('stops everything when it is interrupted', async ({ onTestFinished }) => {
    const dir = await directory(onTestFinished)
    const running = startTideway(['quickstart', '--dir', dir, '--devices', '2'])
    await running.waitForLine(/^3\/5/, 200_000)
    await eventually('a device', async () => (await readdir(join(dir, 'processes'))).includes('device-1.json'))
    await running.kill('SIGINT')
    expect(await running.exited).toBe(130)
    expect(await processesIn(dir)).toEqual([])
  }, 300_000)

  it('fails with a coded error and leaves nothing behind when the NATS server does not answer', async ({
    onTestFinished,
  }) => {
    const dir = await directory(onTestFinished)
    const env = { NATS_URL: 'nats://127.0.0.1:1' }
    const { code, json } = await tideway(['quickstart', '--dir', dir, '--transport', 'nats', '--json'], { env })
    expect(code).toBe(1)
    expect(json).toMatchObject({ error: { code: 'PROCESS_ENDED', data: { process: 'cloud' } } })
    expect(JSON.stringify(json)).toContain('LINK_UNAVAILABLE')
    expect(await processesIn(dir)).toEqual([])
  }, 300_000)

  it('refuses numbers of devices that it cannot start, and transports that there are not', async () => {
    for (const [flag, value, says] of [
      ['--devices', '0', '1 to 40'],
      ['--devices', 'many', 'a whole number'],
      ['--seed', '-1', 'a whole number'],
      ['--transport', 'pigeon', 'embedded, nats'],
    ] as const) {
      const { code, output } = await tideway(['quickstart', flag, value])
      expect(code).toBe(1)
      expect(output).toContain(says)
    }
  })

  describeWithServer('nats-server', 'over NATS', () => {
    it('shows the same with a server of its own, and stops it all in the end', async ({ onTestFinished }) => {
      const dir = await directory(onTestFinished)
      const shown = await tidewayJson<Shown>(['quickstart', '--dir', dir, '--transport', 'nats', '--seed', '5'])
      expect(shown).toEqual({ ...expected('nats', 3), version: 1, seed: 5 })
      expect(new Set(shown.devices.map((device) => device.pid)).size).toBe(3)
      expect(await processesIn(dir)).toEqual([])
      expect(await readdir(join(dir, 'nats', 'jetstream'))).not.toEqual([])
    }, 300_000)
  })
})
