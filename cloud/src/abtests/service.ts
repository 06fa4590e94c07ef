import { randomBytes } from 'node:crypto'
import {
  type AbTestRecord,
  type AbTestStore,
  type AbTests,
  type AbTestView,
  abDeclarationSchema,
  errors,
  narrow,
  planOf,
  type Registry,
  type Traffic,
} from '@tideway/core'
import { Analysis, sharesOfTest } from './analysis.js'
import type { Exposures } from './exposures.js'

export interface AbTestOptions {
  readonly registry: Registry
  readonly traffic: Traffic
  readonly store: AbTestStore
  readonly exposures: Pick<Exposures, 'flush'>
}

/** Tests whose outcomes are kept read; the others are read again when they are asked for. */
const MAX_ANALYSES = 100

export function createAbTests({ registry, traffic, store, exposures }: AbTestOptions): AbTests {
  const analyses = new Map<string, Analysis>()

  async function view(test: AbTestRecord): Promise<AbTestView> {
    if (!analyses.has(test.id) && analyses.size >= MAX_ANALYSES) analyses.clear()
    const analysis = analyses.get(test.id) ?? new Analysis(test, store)
    analyses.set(test.id, analysis)
    return analysis.view(test)
  }

  async function running(model: string): Promise<AbTestRecord> {
    const test = await store.newest(model)
    if (test.status !== 'running') throw errors.AB_TEST_ENDED({ model, test: test.id, status: test.status })
    return test
  }

  /** Gives the traffic back, then ends the test: one that was cut off between the two can be ended again. */
  async function end(test: AbTestRecord, status: 'promoted' | 'stopped', version: number, actor: string) {
    const latest = await registry.resolve(test.model, 'latest').catch(() => undefined)
    const policy = latest?.version === version ? { kind: 'single' } : { kind: 'single', version }
    const record = (await traffic.show(test.model)).record
    if (record?.test === test.id) await traffic.set(test.model, policy, { actor, test: test.id, ends: true })
    return view(await store.end(test.id, status))
  }

  return {
    async start(model, given, actor) {
      const declaration = narrow(abDeclarationSchema, given, 'the A/B test')
      const [control, treatment] = await Promise.all(
        [declaration.control, declaration.treatment].map((name) => registry.resolve(model, String(name))),
      )
      if (!control || !treatment || control.version === treatment.version) {
        const issues = [`treatment: version ${treatment?.version} is also control`]
        throw errors.INPUT_REJECTED({ what: 'the A/B test', issues })
      }
      const [id, salt] = [`ab-${randomBytes(6).toString('hex')}`, randomBytes(12).toString('hex')]
      const versions = { control: control.version, treatment: treatment.version }
      const { maxUnits } = planOf(declaration)
      const test = await store.create({ ...declaration, ...versions, maxUnits, id, model, salt, actor })
      try {
        const policy = { kind: 'weighted', versions: sharesOfTest(test), salt }
        await traffic.set(model, policy, { actor, test: id })
      } catch (error) {
        await store.end(id, 'stopped')
        throw error
      }
      return view(test)
    },
    show: async (model) => view(await store.newest(model)),
    async report(model, outcomes) {
      const test = await running(model)
      // What this process has answered is known by then, however soon its outcome comes.
      await exposures.flush()
      return store.report(test.id, outcomes)
    },
    async promote(model, { actor, force = false }) {
      const test = await running(model)
      const { result, reason } = await view(test)
      if (result !== 'promote' && !force) throw errors.AB_TEST_NOT_DECIDED({ model, test: test.id, result, reason })
      await registry.setAlias(model, 'latest', test.treatment)
      return end(test, 'promoted', test.treatment, actor)
    },
    async stop(model, actor) {
      const test = await running(model)
      return end(test, 'stopped', test.control, actor)
    },
  }
}
