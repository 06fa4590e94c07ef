import { openTestServices, type TestServices } from '@tideway/test/support/cloud-services'
import { eventually } from '@tideway/test/support/process'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Rig, registerAdding, registerFile, row, startServing } from './rig.fixture.js'

const by = { actor: 'someone' }
const canary = (percent: number) => ({ kind: 'canary', stable: 1, canary: 2, percent })
let services: TestServices
let rig: Rig
let count = 0

beforeAll(async () => {
  services = await openTestServices()
  rig = await startServing(services)
})
afterAll(async () => {
  await rig?.host.stop()
  await services?.close()
})

/** A model with so many versions: version n answers n. */
async function aModel(versions = 2): Promise<string> {
  const model = `traffic-${++count}`
  for (let version = 1; version <= versions; version++) await registerAdding(services, model, version)
  return model
}

async function ask(model: string, stickyKey?: string, from = rig): Promise<number> {
  const { version, outputs } = await from.serving.infer(model, undefined, row, { stickyKey })
  expect(outputs.y?.data[0]).toBe(version.version)
  return version.version
}

const keys = (many: number) => Array.from({ length: many }, (_, at) => `user-${at}`)
const set = (model: string, policy: unknown) => rig.traffic.set(model, policy, by)
const refused = (issue: string) => ({ code: 'TRAFFIC_REFUSED', message: expect.stringContaining(issue) })

describe('a model without a policy', () => {
  it('is answered by what `latest` names', async () => {
    const model = await aModel()
    expect(await ask(model)).toBe(2)
    expect(await rig.traffic.show(model)).toEqual({
      model,
      policy: { kind: 'single' },
      state: 'effective',
      reason: '',
      answered: {},
    })
    await expect(rig.traffic.show('none')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
  })
})

describe('requests of one draw', () => {
  it('are answered by one version, and draws by their shares; a key goes before', async () => {
    const model = await aModel()
    expect(rig.serving.hasPolicy(model)).toBe(false)
    await set(model, canary(20))
    expect(rig.serving.hasPolicy(model)).toBe(true)
    const by = async (draw: number, stickyKey?: string) =>
      (await rig.serving.infer(model, undefined, row, { draw, stickyKey })).version.version
    const draws = Array.from({ length: 100 }, (_, at) => at / 100)
    const first = await Promise.all(draws.map((draw) => by(draw)))
    expect(await Promise.all(draws.map((draw) => by(draw)))).toEqual(first)
    expect(first.filter((version) => version === 2)).toHaveLength(20)
    expect(new Set(await Promise.all(draws.map((draw) => by(draw, 'user-1')))).size).toBe(1)
  })
})

describe('a canary', () => {
  it('gets its share of keys and of requests without one, and keeps its keys while it grows', async () => {
    const model = await aModel()
    await set(model, canary(20))
    const before = await Promise.all(keys(500).map((key) => ask(model, key)))
    const without = await Promise.all(keys(500).map(() => ask(model)))
    for (const answers of [before, without]) {
      const share = answers.filter((version) => version === 2).length / 500
      // Four standard errors of a binomial share.
      expect(Math.abs(share - 0.2)).toBeLessThan(4 * Math.sqrt((0.2 * 0.8) / 500))
    }
    expect(await Promise.all(keys(500).map((key) => ask(model, key)))).toEqual(before)
    const view = await rig.traffic.switch(model, { percent: 40 }, by)
    expect(view.policy).toMatchObject({ kind: 'canary', percent: 40 })
    const after = await Promise.all(keys(500).map((key) => ask(model, key)))
    for (const [at, version] of before.entries()) if (version === 2) expect(after[at]).toBe(2)
    expect(after.filter((version) => version === 2).length).toBeGreaterThan(150)
  })

  it('leaves requests that name a version or an alias alone', async () => {
    const model = await aModel()
    await set(model, { ...canary(50), stable: '1' })
    for (const wanted of ['1', '2', 'latest'])
      for (const stickyKey of keys(5)) {
        const { version } = await rig.serving.infer(model, wanted, row, { stickyKey })
        expect(version.version).toBe(wanted === '1' ? 1 : 2)
      }
  })

  it('takes an alias as what it names when the policy is set', async () => {
    const model = await aModel()
    await services.registry.setAlias(model, 'live', 1)
    await set(model, { kind: 'canary', stable: 'live', canary: 'latest', percent: 50 })
    await services.registry.setAlias(model, 'live', 2)
    expect((await rig.traffic.show(model)).policy).toMatchObject({ stable: 1, canary: 2 })
  })
})

describe('a policy that cannot be honoured is refused, and the one before goes on:', () => {
  it('versions that are not there, all of them named', async () => {
    const model = await aModel()
    const wrong = { kind: 'canary', stable: 7, canary: 'nobody', percent: 5, shadow: { version: 9 } }
    for (const issue of ['stable: there', 'canary: there is no version or alias nobody', 'shadow.version: there'])
      await expect(set(model, wrong)).rejects.toMatchObject(refused(issue))
    await expect(set('none', canary(5))).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
  })

  it('versions that do not load', async () => {
    const model = await aModel(1)
    await ask(model)
    await registerFile(services, model)
    await expect(set(model, canary(5))).rejects.toMatchObject(refused('canary: version 2 cannot be loaded'))
    expect(await ask(model)).toBe(1)
    expect(await rig.traffic.history(model)).toEqual([])
  })

  it('versions that take or give something else than clients see now', async () => {
    const model = await aModel(2)
    await registerAdding(services, model, 3, 4)
    await services.registry.setAlias(model, 'latest', 1)
    const wrong = { kind: 'weighted', versions: [1, 3].map((version) => ({ version, weight: 50 })) }
    await expect(set(model, wrong)).rejects.toMatchObject(
      refused('versions.1.version: version 3 has inputs x float32[?, 4] instead of x float32[?, 2]'),
    )
    const shadow = { kind: 'single', shadow: { version: 3 } }
    await expect(set(model, shadow)).rejects.toMatchObject(refused('shadow.version: version 3'))
  })

  it('a version twice once aliases are numbers, and a shadow that answers', async () => {
    const model = await aModel()
    const twice = { kind: 'canary', stable: 2, canary: 'latest', percent: 5 }
    await expect(set(model, twice)).rejects.toMatchObject(refused('canary: version 2 is named twice'))
    const shadow = { ...canary(5), shadow: { version: 'latest' } }
    await expect(set(model, shadow)).rejects.toMatchObject(refused('shadow.version: version 2 answers already'))
  })

  it('what is badly formed', async () => {
    const model = await aModel()
    await expect(set(model, { ...canary(0), stable: -1 })).rejects.toMatchObject({ code: 'INPUT_REJECTED' })
    await expect(rig.traffic.switch(model, { percent: 5 }, by)).rejects.toMatchObject(
      refused('kind single has no percent'),
    )
  })

  it('more versions than may be loaded', async () => {
    const own = await openTestServices()
    const small = await startServing(own, 3)
    for (const model of ['one', 'other', 'third']) for (const at of [1, 2, 3]) await registerAdding(own, model, at)
    const weights = [40, 30, 30].map((weight, at) => ({ version: at + 1, weight }))
    try {
      const three = small.traffic.set('one', { kind: 'weighted', versions: weights }, by)
      await expect(three).rejects.toMatchObject(refused('room for 2'))
      await small.traffic.set('one', canary(50), by)
      const more = small.traffic.set('other', canary(50), by)
      await expect(more).rejects.toMatchObject(refused('2 of them for other models'))
      // What others ask for does not drive out what a policy needs.
      for (let at = 0; at < 3; at++) for (const model of ['other', 'third']) await ask(model, undefined, small)
      const index = await small.serving.index()
      const states = index.filter(({ model }) => model === 'one').map(({ state }) => state)
      expect(states).toEqual(['ready', 'ready', 'unavailable'])
    } finally {
      await small.host.stop()
      await own.close()
    }
  })
})

describe('blue-green', () => {
  it('switches there and back in one call, and no request fails or waits for a load under load', async () => {
    const model = await aModel()
    await set(model, { kind: 'blue-green', blue: 1, green: 2 })
    let isDone = false
    const seen = new Set<number>()
    const clients = Array.from({ length: 4 }, async () => {
      while (!isDone) {
        seen.add(await ask(model))
        await new Promise((resolve) => setImmediate(resolve))
      }
    })
    for (let at = 1; at <= 20; at++) {
      const { policy } = await rig.traffic.switch(model, at % 3 === 0 ? { active: 'blue' } : {}, by)
      const active = policy.kind === 'blue-green' && policy.active === 'green' ? 2 : 1
      expect(await ask(model)).toBe(active)
    }
    isDone = true
    await Promise.all(clients)
    expect(seen).toEqual(new Set([1, 2]))
    const history = await rig.traffic.history(model)
    expect(history).toHaveLength(21)
    expect(new Set(history.map(({ salt }) => salt)).size).toBe(1)
  })
})

describe('a shadow', () => {
  it('answers nobody, and is compared with the answers within its tolerance', async () => {
    const model = await aModel()
    const shadow = { version: 2, tolerance: { abs: 0.5, rel: 0 } }
    await set(model, { kind: 'single', version: 1, shadow })
    for (let at = 0; at < 5; at++) expect(await ask(model)).toBe(1)
    await expect.poll(async () => (await rig.traffic.show(model)).shadow).toMatchObject({ differed: 5, agreed: 0 })
    await set(model, { kind: 'single', version: 1, shadow: { ...shadow, tolerance: { abs: 1.5, rel: 0 } } })
    for (let at = 0; at < 5; at++) await ask(model)
    await expect.poll(async () => (await rig.traffic.show(model)).shadow).toMatchObject({ agreed: 5, failed: 0 })
    const view = await rig.traffic.show(model)
    expect(view.shadow?.latencyRatio).toBeGreaterThan(0)
    expect(view.answered).toEqual({ '1': 5 })
  })
})

describe('a policy', () => {
  it('is in force in other processes within a second, and after a restart', async () => {
    // The second is that of their timers: loading what it needs takes as long as it takes. Vitest's polls would move the clock.
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const other = await startServing(services)
    try {
      const model = await aModel()
      await set(model, { kind: 'single', version: 1 })
      vi.advanceTimersByTime(1_000)
      await eventually('version 1 answers', async () => (await ask(model, undefined, other)) === 1)
      expect(await other.traffic.show(model)).toMatchObject({ state: 'effective', answered: { '1': 1 } })
      await set(model, canary(30))
      vi.advanceTimersByTime(1_000)
      await eventually('the canary is there', async () => (await other.traffic.show(model)).state === 'effective')
      const here = await Promise.all(keys(50).map((key) => ask(model, key)))
      expect(await Promise.all(keys(50).map((key) => ask(model, key, other)))).toEqual(here)
      const restarted = await startServing(services)
      try {
        expect(await Promise.all(keys(50).map((key) => ask(model, key, restarted)))).toEqual(here)
      } finally {
        await restarted.host.stop()
      }
    } finally {
      await other.host.stop()
      vi.useRealTimers()
    }
  })

  it('goes back to `latest` when it is cleared', async () => {
    const model = await aModel()
    await set(model, { kind: 'single', version: 1 })
    expect(await ask(model)).toBe(1)
    expect((await rig.serving.metadata(model)).version.version).toBe(1)
    await set(model, { kind: 'single' })
    expect(await ask(model)).toBe(2)
  })

  it('of an A/B test is changed by that test alone', async () => {
    const model = await aModel()
    const units: string[] = []
    const stop = rig.traffic.onUnit((test, unit) => void units.push(`${test} ${unit}`))
    await rig.traffic.set(model, canary(50), { actor: 'someone', test: 'ab-1' })
    await expect(set(model, canary(5))).rejects.toMatchObject({ code: 'TRAFFIC_UNDER_TEST', data: { test: 'ab-1' } })
    const first = await rig.serving.infer(model, undefined, row, { stickyKey: 'a', requestId: 'r1' })
    expect(first.unit).toBe('a')
    expect((await rig.serving.infer(model, undefined, row, { requestId: 'r2' })).unit).toBe('r2')
    expect((await rig.serving.infer(model, '1', row, { requestId: 'r3' })).unit).toBeUndefined()
    stop()
    expect(units).toEqual(['ab-1 a', 'ab-1 r2'])
    await rig.traffic.set(model, { kind: 'single' }, { actor: 'someone', test: 'ab-1', ends: true })
    await set(model, canary(5))
  })
})
