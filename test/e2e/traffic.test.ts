import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AbTestView, TrafficView } from '@tideway/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tideway, tidewayJson } from '../support/command.js'
import { START_MS, startCloud, type TestCloud } from '../support/loop.js'
import { registerVersion, type TestVersion } from '../support/version.js'

const SERVE = ['--serve', '0', '--serve-processes', '2']
let dir: string
let cloud: TestCloud
const versions: TestVersion[] = []

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-e2e-traffic-'))
  cloud = await startCloud({ dir, roles: ['api'], args: SERVE })
  for (let seed = 1; seed <= 3; seed++) versions.push(await registerVersion(cloud.client, 'line', { seed }))
  await cloud.client.setAlias('line', 'latest', 1)
}, START_MS)
afterAll(async () => {
  await cloud?.stop()
  await rm(dir, { recursive: true, force: true, maxRetries: 3 })
})

/** Where processes that do nothing but inference answer. */
function plane(): string {
  const ready = cloud.process.lines.find((line) => line.startsWith('{"ready":true')) ?? '{}'
  return (JSON.parse(ready) as { dataPlaneUrl: string }).dataPlaneUrl
}

interface Asked {
  readonly status: number
  readonly version: string
  readonly unit: string | null
}

async function ask(url: string, key?: string): Promise<Asked> {
  const input = versions[0]!.input
  const body = JSON.stringify({ inputs: [{ name: 'x', shape: [1, 8], datatype: 'FP32', data: Array.from(input) }] })
  const headers = { 'content-type': 'application/json', ...(key !== undefined && { 'x-tideway-key': key }) }
  const response = await fetch(`${url}/v2/models/line/infer`, { method: 'POST', headers, body })
  const answer = (await response.json()) as { model_version: string; outputs: { data: number[] }[] }
  expect(response.headers.get('x-tideway-version')).toBe(answer.model_version)
  // The version that is named is the one that answered.
  const { answer: wanted } = versions[Number(answer.model_version) - 1]!
  for (const [at, value] of answer.outputs[0]!.data.entries()) expect(value).toBeCloseTo(wanted[at]!, 3)
  return { status: response.status, version: answer.model_version, unit: response.headers.get('x-tideway-unit') }
}

const askAll = async (url: string, keys: readonly (string | undefined)[]) => {
  const all: Asked[] = []
  for (const key of keys) all.push(await ask(url, key))
  return all
}
const users = (many: number) => Array.from({ length: many }, (_, at) => `user-${at}`)
const command = <T>(...args: string[]) => tidewayJson<T>([...args, '--cloud', cloud.url, '--json'])

describe('traffic over HTTP', () => {
  it('is split by weight, with keys that stay, the same in every process and after a restart', async () => {
    const view = await command<TrafficView>(
      'traffic',
      'set',
      'line',
      '--stable',
      '1',
      '--canary',
      '2',
      '--percent',
      '30',
    )
    expect(view).toMatchObject({ state: 'effective', policy: { kind: 'canary', percent: 30 } })
    const here = (await askAll(cloud.url, users(300))).map(({ version }) => version)
    const share = here.filter((version) => version === '2').length / 300
    expect(Math.abs(share - 0.3)).toBeLessThan(4 * Math.sqrt((0.3 * 0.7) / 300))
    const random = await askAll(
      cloud.url,
      Array.from({ length: 300 }, () => undefined),
    )
    const rest = random.filter(({ version }) => version === '2').length / 300
    expect(Math.abs(rest - 0.3)).toBeLessThan(4 * Math.sqrt((0.3 * 0.7) / 300))
    const there = async () => (await askAll(plane(), users(100))).map(({ version }) => version)
    await expect.poll(there).toEqual(here.slice(0, 100))
    const { answered } = await command<TrafficView>('traffic', 'show', 'line')
    expect(Object.values(answered).reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(700)
    await cloud.stop()
    cloud = await startCloud({ dir, roles: ['api'], args: SERVE })
    expect((await askAll(cloud.url, users(100))).map(({ version }) => version)).toEqual(here.slice(0, 100))
    expect(await there()).toEqual(here.slice(0, 100))
  }, 200_000)

  it('is switched to and fro under load, and no request is lost', async () => {
    const green = ['traffic', 'set', 'line', '--blue', '1', '--green', '2', '--shadow', '3', '--abs', '100']
    await command('traffic', 'clear', 'line')
    await command(...green)
    let isDone = false
    const seen = new Set<string>()
    let asked = 0
    const clients = Array.from({ length: 3 }, async () => {
      while (!isDone) {
        const { status, version } = await ask(cloud.url)
        expect(status).toBe(200)
        seen.add(version)
        asked++
      }
    })
    for (let at = 1; at <= 30; at++) {
      await cloud.client.switchTraffic('line')
      expect((await ask(cloud.url)).version).toBe(at % 2 === 1 ? '2' : '1')
    }
    isDone = true
    await Promise.all(clients)
    expect(seen).toEqual(new Set(['1', '2']))
    expect(asked).toBeGreaterThan(30)
    await expect.poll(async () => (await cloud.client.traffic('line')).shadow?.agreed).toBeGreaterThan(0)
    const history = await cloud.client.trafficHistory('line')
    expect(history.filter(({ policy }) => policy.kind === 'blue-green')).toHaveLength(31)
    const switched = await cloud.client.audit({ action: 'traffic.switch', subject: 'line' })
    expect(switched).toHaveLength(30)
    await command('traffic', 'clear', 'line')
  }, 200_000)

  it('that cannot be honoured is refused with what is wrong, by the command too', async () => {
    const set = ['traffic', 'set', 'line', '--cloud', cloud.url, '--json']
    const refused = await tideway([...set, '--stable', '1', '--canary', '9', '--percent', '5'])
    expect(refused).toMatchObject({ code: 1, json: { error: { code: 'TRAFFIC_REFUSED' } } })
    const formed = await tideway([...set, '--weights', '1=50,2=40'])
    expect(formed).toMatchObject({ code: 1, json: { error: { code: 'INPUT_REJECTED' } } })
    expect(await tideway(set)).toMatchObject({ code: 1, json: { error: { code: 'TRAFFIC_OPTIONS_INVALID' } } })
    expect((await command<TrafficView>('traffic', 'show', 'line')).policy).toEqual({ kind: 'single' })
  }, 100_000)
})

describe('an A/B test over HTTP', () => {
  it('begins with a command, counts outcomes by id, also of units that other processes answered, and is promoted', async () => {
    const start = [
      'ab',
      'start',
      'line',
      '--control',
      '1',
      '--treatment',
      '2',
      '--metric',
      'binary',
      '--least-effect',
      '0.3',
    ]
    expect(await command<AbTestView>(...start)).toMatchObject({ result: 'not yet', test: { status: 'running' } })
    // Once the other processes have heard of it, their answers name the unit.
    await expect.poll(async () => (await ask(plane(), 'first')).unit).toBe('first')
    await expect.poll(async () => (await ask(plane(), 'first')).unit).toBe('first')
    const here = await askAll(cloud.url, users(60))
    const nameless = await ask(cloud.url)
    expect(nameless.unit).toMatch(/.{8,}/)
    const outcomes = [...here, nameless].map(({ unit, version }) => ({
      id: unit ?? '',
      value: version === '2' ? 1 : 0,
    }))
    expect(await cloud.client.reportOutcomes('line', outcomes)).toMatchObject({ accepted: 61, unknown: [] })
    const first = () => cloud.client.reportOutcomes('line', [{ id: 'first', value: 1 }])
    await expect.poll(async () => (await first()).unknown).toEqual([])
    expect((await cloud.client.reportOutcomes('line', [{ id: 'never', value: 1 }])).unknown).toEqual(['never'])
    const shown = await command<AbTestView>('ab', 'show', 'line')
    expect(shown).toMatchObject({ result: 'promote', exposed: 62 })
    expect(shown.unknown).toBeGreaterThan(0)
    const under = await tideway(['traffic', 'clear', 'line', '--cloud', cloud.url, '--json'])
    expect(under).toMatchObject({ code: 1, json: { error: { code: 'TRAFFIC_UNDER_TEST' } } })
    const ended = await command<AbTestView>('ab', 'promote', 'line')
    expect(ended).toMatchObject({ test: { status: 'promoted' } })
    expect((await ask(cloud.url)).version).toBe('2')
    expect((await cloud.client.version('line', 'latest')).version.version).toBe(2)
  }, 200_000)
})
