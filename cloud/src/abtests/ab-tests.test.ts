import { type AbTests, silentLogger } from '@tideway/core'
import { openTestServices, type TestServices } from '@tideway/test/support/cloud-services'
import { seeded } from '@tideway/test/support/seeded'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Rig, registerAdding, row, startServing } from '../traffic/rig.fixture.js'
import { Exposures } from './exposures.js'
import { createAbTests } from './service.js'

let services: TestServices
let rig: Rig
let exposures: Exposures
let abTests: AbTests
let count = 0

beforeAll(async () => {
  services = await openTestServices()
  rig = await startServing(services)
  exposures = new Exposures(
    () => services.abTestStore,
    () => silentLogger,
  )
  rig.traffic.onUnit((test, unit) => exposures.saw(test, unit))
  abTests = fresh()
})
afterAll(async () => {
  await rig?.host.stop()
  await services?.close()
})

/** As after a restart: nothing is remembered but what the store has. */
function fresh(): AbTests {
  return createAbTests({ ...services, store: services.abTestStore, traffic: rig.traffic, exposures })
}

async function aModel(): Promise<string> {
  const model = `ab-${++count}`
  for (const number of [1, 2]) await registerAdding(services, model, number)
  await services.registry.setAlias(model, 'latest', 1)
  return model
}

const declared = { control: 1, treatment: 2, metric: { kind: 'binary' }, leastEffect: 0.2 }

/** Asks for so many users, and answers which version each got. */
async function ask(model: string, users: number): Promise<Map<string, number>> {
  const got = new Map<string, number>()
  for (let user = 0; user < users; user++) {
    const { version, unit } = await rig.serving.infer(model, undefined, row, { stickyKey: `user-${user}` })
    expect(unit).toBe(`user-${user}`)
    got.set(`user-${user}`, version.version)
  }
  return got
}

/** Reports for each of them 1 with the chance of its version. */
async function report(model: string, got: ReadonlyMap<string, number>, chances: readonly [number, number]) {
  const random = seeded(count)
  const outcomes = [...got].map(([id, version]) => ({
    id,
    value: random() < (version === 2 ? chances[1] : chances[0]) ? 1 : 0,
  }))
  return abTests.report(model, outcomes)
}

describe('an A/B test', () => {
  it('splits the traffic, counts what became of each unit, and promotes what is better', async () => {
    const model = await aModel()
    const started = await abTests.start(model, declared, 'someone')
    expect(started).toMatchObject({
      result: 'not yet',
      test: { status: 'running', control: 1, treatment: 2, alpha: 0.05 },
    })
    expect((await rig.traffic.show(model)).record).toMatchObject({ test: started.test.id })
    const got = await ask(model, 400)
    expect(await report(model, got, [0.3, 0.7])).toEqual({ accepted: 400, repeated: 0, conflicting: [], unknown: [] })
    const view = await abTests.show(model)
    const treated = [...got.values()].filter((version) => version === 2).length
    expect(view).toMatchObject({ result: 'promote', exposed: 400, treatment: { version: 2, units: treated } })
    expect(view.effect.low).toBeGreaterThan(0)
    expect(view.pValue).toBeLessThan(0.05)
    expect(view.settledAfter).toBeLessThanOrEqual(400)
    const ended = await abTests.promote(model, { actor: 'someone' })
    expect(ended.test).toMatchObject({ status: 'promoted', endedAt: expect.any(String) })
    expect((await services.registry.resolve(model, 'latest')).version).toBe(2)
    expect((await rig.traffic.show(model)).policy).toEqual({ kind: 'single' })
    expect((await rig.serving.infer(model, undefined, row)).version.version).toBe(2)
    await expect(abTests.report(model, [{ id: 'user-1', value: 1 }])).rejects.toMatchObject({ code: 'AB_TEST_ENDED' })
  })

  it('says the same after a restart, and takes outcomes of units that were answered before', async () => {
    const model = await aModel()
    await abTests.start(model, declared, 'someone')
    const got = await ask(model, 60)
    const early = new Map([...got].slice(0, 30))
    await report(model, early, [0.5, 0.5])
    const before = await abTests.show(model)
    const restarted = fresh()
    expect(await restarted.show(model)).toEqual(before)
    const late = [...got.keys()].slice(30).map((id) => ({ id, value: 1 }))
    expect(await restarted.report(model, late)).toMatchObject({ accepted: 30, unknown: [] })
    const seen = await Promise.all([abTests.show(model), restarted.show(model)])
    expect(seen[0]).toEqual(seen[1])
    const treated = [...got.values()].filter((version) => version === 2).length
    expect(seen[0]).toMatchObject({ treatment: { units: treated }, control: { units: 60 - treated } })
  })

  it('counts a unit once, and tells which outcomes it does not know', async () => {
    const model = await aModel()
    await abTests.start(model, declared, 'someone')
    await ask(model, 3)
    await ask(model, 3)
    const outcomes = [
      { id: 'user-0', value: 1 },
      { id: 'user-0', value: 1 },
      { id: 'user-1', value: 0 },
      { id: 'somebody', value: 1 },
    ]
    expect(await abTests.report(model, outcomes)).toEqual({
      accepted: 2,
      repeated: 1,
      conflicting: [],
      unknown: ['somebody'],
    })
    expect((await abTests.report(model, [{ id: 'user-1', value: 1 }])).conflicting).toEqual(['user-1'])
    expect(await abTests.show(model)).toMatchObject({ exposed: 3, unknown: 1 })
  })

  it('gives requests that say nothing of themselves a unit each', async () => {
    const model = await aModel()
    await abTests.start(model, declared, 'someone')
    const { unit } = await rig.serving.infer(model, undefined, row)
    expect(await abTests.report(model, [{ id: unit ?? '', value: 1 }])).toMatchObject({ accepted: 1 })
  })

  it('is not promoted before it says so, unless forced', async () => {
    const model = await aModel()
    await abTests.start(model, declared, 'someone')
    await expect(abTests.promote(model, { actor: 'someone' })).rejects.toMatchObject({
      code: 'AB_TEST_NOT_DECIDED',
      data: { result: 'not yet' },
    })
    expect((await abTests.promote(model, { actor: 'someone', force: true })).test.status).toBe('promoted')
  })

  it('that is stopped leaves all to control, also where `latest` is another version', async () => {
    const model = await aModel()
    await services.registry.setAlias(model, 'latest', 2)
    await abTests.start(model, declared, 'someone')
    await abTests.stop(model, 'someone')
    expect((await rig.traffic.show(model)).policy).toEqual({ kind: 'single', version: 1 })
    await expect(abTests.stop(model, 'someone')).rejects.toMatchObject({ code: 'AB_TEST_ENDED' })
    expect((await abTests.start(model, declared, 'someone')).test.status).toBe('running')
  })

  it('is refused for one version, for what is not there, and beside another', async () => {
    const model = await aModel()
    await expect(abTests.show(model)).rejects.toMatchObject({ code: 'AB_TEST_NOT_FOUND' })
    const same = abTests.start(model, { ...declared, control: 'latest', treatment: 1 }, 'someone')
    await expect(same).rejects.toMatchObject({ code: 'INPUT_REJECTED' })
    const none = abTests.start(model, { ...declared, treatment: 9 }, 'someone')
    await expect(none).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND' })
    await registerAdding(services, model, 3, 5)
    await services.registry.setAlias(model, 'latest', 1)
    const other = abTests.start(model, { ...declared, treatment: 3 }, 'someone')
    await expect(other).rejects.toMatchObject({ code: 'TRAFFIC_REFUSED' })
    await abTests.start(model, declared, 'someone')
    await expect(abTests.start(model, declared, 'someone')).rejects.toMatchObject({ code: 'AB_TEST_RUNNING' })
  })
})

describe('units that were answered', () => {
  it('are written once, and again after the store has failed', async () => {
    const written: string[] = []
    let fails = true
    const units = new Exposures(
      () => ({
        async expose(_, some) {
          if (fails) throw new Error('down')
          written.push(...some)
        },
      }),
      () => silentLogger,
    )
    for (const unit of ['a', 'b', 'a']) units.saw('ab-1', unit)
    await units.flush()
    expect(written).toEqual([])
    fails = false
    units.saw('ab-1', 'a')
    await units.flush()
    expect(written).toEqual(['a', 'b'])
  })
})
