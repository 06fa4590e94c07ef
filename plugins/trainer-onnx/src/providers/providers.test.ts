import { createHost, definePlugin, type Fallback, type Logger, tokens } from '@tideway/core'
import { fitPhase, jobDigest, trainableIn } from '@tideway/training'
import { describe, expect, it } from 'vitest'
import { onnxTrainer } from '../plugin.js'
import { createOnnxTrainer } from '../trainer.js'
import { notesOn, orderOf } from './choose.js'
import { ProviderEngine } from './engine.js'
import { inOrder } from './in-order.js'
import { jobOf, wavesFor } from './jobs.fixture.js'
import { preferredProviders, providerOf } from './provider.js'
import { selfTest } from './self-test.js'

const cpu = createOnnxTrainer({ threads: 1 })
const adam = { type: 'adam', learningRate: 0.01 } as const

describe('graphs for providers other than the CPU', () => {
  it.each(['dense', 'convolutional'] as const)('train a %s network as those for the CPU do', async (name) => {
    const job = jobOf(name, { ...adam, accumulate: 2 })
    const context = { train: wavesFor(name), validation: wavesFor(name, 21) }
    const { network } = trainableIn(job, undefined)
    const phase = { job, network, notes: [], context }
    const provider = providerOf('cpu')
    const there = await fitPhase(phase, jobDigest(job), (plan) =>
      ProviderEngine.open({ ...plan, provider, threads: 1 }),
    )
    const here = await cpu.fit(job, context)
    // Float32 sums in another order.
    for (const [at, metrics] of there.history.entries())
      for (const [metric, value] of Object.entries(metrics))
        expect(Math.abs(value - here.history[at]![metric]!), `${metric} of epoch ${at + 1}`).toBeLessThan(1e-5)
    expect(there.history.at(-1)!['loss']).toBeLessThan(there.history[0]!['loss']!)
  })
})

describe('a provider that is not here', () => {
  const job = jobOf('dense', adam, 1)
  const train = wavesFor('dense')

  it('is an error with the reason, or a step to another that is said and noted', async () => {
    const refused = createOnnxTrainer({ provider: 'no-such' }).fit(job, { train })
    await expect(refused).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE', data: { provider: 'no-such' } })
    await expect(refused).rejects.toThrow(/has none of that name/)
    const told: Fallback[] = []
    const fallback = { to: ['neither', 'cpu'], onFallback: (step: Fallback) => told.push(step) }
    const moved = await createOnnxTrainer({ provider: 'no-such', threads: 1, fallback }).fit(job, { train })
    expect(told.map(({ from, to }) => [from, to])).toEqual([
      ['no-such', 'neither'],
      ['neither', 'cpu'],
    ])
    expect(moved.environment['provider']).toBe('cpu')
    expect(moved.notes?.join()).toMatch(
      /^trained on ONNX Runtime's cpu; not on no-such: this build .*; neither: this build/,
    )
    // What it would have begun with was not spent on the way.
    expect(Buffer.compare(moved.onnx, (await cpu.fit(job, { train })).onnx)).toBe(0)
  })

  it("is chosen by a job's context over the trainer's own, and is no note where it is the CPU", async () => {
    const { notes } = await createOnnxTrainer({ provider: 'no-such', threads: 1 }).fit(job, { train, provider: 'cpu' })
    expect(notes).toEqual([])
  })
})

describe('auto', () => {
  it('goes through what passed its self-test, best first, and says of the others why not', async () => {
    const [best, ...others] = preferredProviders()
    const told: string[] = []
    const fallback = { to: [], onFallback: ({ from }: Fallback) => told.push(from) }
    const none = await orderOf('auto', fallback, async (name) => `${name} is slow`)
    expect(none.first).toBe('cpu')
    expect(told).toEqual(preferredProviders())
    expect(notesOn(none, { provider: 'cpu', fallbacks: [] }, [])[0]).toContain(`not on ${best}: ${best} is slow`)
    const some = await orderOf('auto', undefined, async (name) => (name === best ? undefined : 'it is slow'))
    expect([some.first, some.fallback?.to, some.skipped.map(({ from }) => from)]).toEqual([best, ['cpu'], others])
  })

  it('is not brought down by a driver that crashes or hangs', async () => {
    const file = (name: string): URL => new URL(`./${name}.fixture.mjs`, import.meta.url)
    expect(await selfTest('webgpu', { file: file('crashes') })).toMatch(/^its self-test ended with \S+ and no answer$/)
    expect(await selfTest('webgpu', { file: file('hangs'), mostMs: 300 })).toBe('its self-test took more than 0.3 s')
  })

  it('has the reason of a provider that is not here', async () => {
    expect(await selfTest('no-such')).toBe('this build of onnxruntime-node has none of that name')
  })
})

describe('a list of providers', () => {
  it('is the first with the others behind it; one alone has none', () => {
    expect(inOrder(['cpu'], () => undefined)).toEqual({ provider: 'cpu' })
    expect(inOrder(['webgpu+cpu', 'cpu'], () => undefined)).toMatchObject({
      provider: 'webgpu+cpu',
      fallback: { to: ['cpu'] },
    })
  })

  it('has every bad name named at once', () => {
    const bad = () => inOrder(['gpu', 'cpu', 'auto'], () => undefined)
    expect(bad).toThrow(/providers\.0: gpu is none of cpu, .*providers\.2: auto stands alone/)
    expect(() => inOrder([], () => undefined)).toThrow(/is empty/)
  })

  it("is a plugin's option, whose fallbacks are logged", async () => {
    const warnings: unknown[] = []
    const logger: Logger = { debug() {}, info() {}, error() {}, warn: (text, data) => warnings.push([text, data]) }
    const missing = ['dml', 'coreml'].find((name) => !preferredProviders().includes(name)) ?? ''
    const host = createHost()
    const logging = definePlugin({ name: 'log', register: (scope) => scope.provide(tokens.logger, () => logger) })
    host.use(logging())
    host.use(onnxTrainer({ providers: [missing, 'cpu'], threads: 1 }))
    await host.get(tokens.trainer).fit(jobOf('dense', adam, 1), { train: wavesFor('dense') })
    const reason = 'this build of onnxruntime-node has none of that name'
    expect(warnings).toEqual([['training provider not used', { provider: missing, next: 'cpu', reason }]])
  })
})
