import { describe, expect, it } from 'vitest'
import { type Metrics, nullMetrics } from '../contracts/metrics.js'
import { errors } from '../errors.js'
import { listStatistics } from './listed.js'
import { runMeasured } from './measured.js'
import { type Measured, Statistics } from './statistics.js'

const one: Measured = {
  rows: 2,
  batchSize: 6,
  leads: true,
  totalNs: 100,
  queueNs: 10,
  inputNs: 20,
  inferNs: 30,
  outputNs: 40,
}

interface Shown {
  readonly inference_count: number
  readonly execution_count: number
  readonly inference_stats: Readonly<Record<string, { count: number; ns: number }>>
  readonly batch_stats: readonly unknown[]
}

function shown(statistics: Statistics, model = 'm', version = '1'): Shown {
  return statistics.of(model, version).toJson(model, version) as Shown
}

describe('statistics', () => {
  it('count rows, and a run once whoever shared it', () => {
    const statistics = new Statistics()
    statistics.of('m', '1').succeeded(one)
    statistics.of('m', '1').succeeded({ ...one, leads: false })
    const { inference_count, execution_count, inference_stats, batch_stats } = shown(statistics)
    expect([inference_count, execution_count]).toEqual([4, 1])
    expect(inference_stats.success).toEqual({ count: 2, ns: 200 })
    expect(inference_stats.queue).toEqual({ count: 2, ns: 20 })
    const stage = (ns: number) => ({ count: 1, ns })
    expect(batch_stats).toEqual([
      { batch_size: 6, compute_input: stage(20), compute_infer: stage(30), compute_output: stage(40) },
    ])
  })

  it('add up with those of other processes, what their caches had and had not too', async () => {
    const [statistics, other] = [new Statistics(), new Statistics()]
    for (const version of [statistics, other].map((each) => each.of('m', '1'))) {
      version.succeeded({ ...one, cache: { result: 'miss', ns: 3 } })
      version.succeeded({ ...one, leads: false, cache: { result: 'hit', ns: 2 } })
      version.failed(5)
    }
    statistics.gatherFrom(async () => [...statistics.toJson(), ...other.toJson()])
    const { inference_count, inference_stats } = shown(await statistics.whole())
    const twice = Object.entries(shown(statistics).inference_stats).map(([name, { count, ns }]) => {
      expect(count, name).toBeGreaterThan(0)
      return [name, { count: 2 * count, ns: 2 * ns }]
    })
    expect([inference_count, inference_stats]).toEqual([4, Object.fromEntries(twice)])
  })

  it('hold a thousand batch sizes at most; all are in the totals', () => {
    const statistics = new Statistics()
    for (let batchSize = 1; batchSize <= 1_500; batchSize++) statistics.of('m', '1').succeeded({ ...one, batchSize })
    expect(shown(statistics).batch_stats).toHaveLength(1_000)
    expect(shown(statistics).execution_count).toBe(1_500)
  })
})

const version = { model: 'm', version: 3, manifestDigest: '0'.repeat(64), createdAt: '2026-01-01T00:00:00.000Z' }

function servingThat(infer: () => Promise<never> | Promise<{ version: typeof version; outputs: object }>) {
  return {
    async metadata(model: string) {
      if (model !== 'm') throw errors.MODEL_NOT_FOUND({ model })
      return { version, versions: ['3'], platform: 'none', signature: { inputs: [], outputs: [] } }
    },
    infer: infer as () => Promise<{ version: typeof version; outputs: Record<string, never> }>,
  }
}

const form = { decode: () => ({ inputs: {} }), encode: ({ version: v }: { version: string }) => `answered by ${v}` }

describe('a measured run', () => {
  it('is counted with the version that answered', async () => {
    const statistics = new Statistics()
    const serving = servingThat(async () => ({ version, outputs: {} }))
    expect(await runMeasured({ serving, statistics }, { model: 'm' }, form)).toBe('answered by 3')
    expect(shown(statistics, 'm', '3').inference_stats.success?.count).toBe(1)
  })

  it('counts what was read and not answered as failed, and nothing for a model that is not there', async () => {
    const statistics = new Statistics()
    const serving = servingThat(() => Promise.reject(errors.RUN_FAILED({ reason: 'it had to' })))
    for (const model of ['m', 'none'])
      await expect(runMeasured({ serving, statistics }, { model }, form)).rejects.toMatchObject({ code: 'RUN_FAILED' })
    expect(statistics.known()).toEqual([['m', '3']])
    expect(shown(statistics, 'm', '3').inference_stats.fail?.count).toBe(1)
  })

  it('does not count what could not be read', async () => {
    const statistics = new Statistics()
    const serving = servingThat(async () => ({ version, outputs: {} }))
    const bad = { ...form, decode: () => Promise.reject(errors.JSON_INVALID({ what: 'it', bytes: 1 })) }
    await expect(runMeasured({ serving, statistics }, { model: 'm' }, bad)).rejects.toThrow()
    expect(statistics.known()).toEqual([])
  })

  it('that could not be read fails in the metrics of its version, where there is one that need not be loaded', async () => {
    const counted: string[] = []
    const metrics: Metrics = {
      ...nullMetrics,
      counter: ({ name }) => ({
        of: (labels) => ({
          add: () =>
            void (name === 'tideway_inference_failures_total' && counted.push(Object.values(labels).join(' '))),
          reach() {},
        }),
        remove() {},
      }),
    }
    const statistics = new Statistics(metrics)
    const fails = { ...form, decode: () => Promise.reject(errors.JSON_INVALID({ what: 'it', bytes: 1 })) }
    const loading = servingThat(async () => ({ version, outputs: {} }))
    const telling = {
      ...loading,
      metadata: () => Promise.reject(new Error('it was loaded')),
      versionOf: async (model: string) => (await loading.metadata(model)).version,
    }
    for (const [serving, model] of [
      [telling, 'm'],
      [telling, 'none'],
      [loading, 'm'],
    ] as const)
      await expect(runMeasured({ serving, statistics }, { model }, fails)).rejects.toMatchObject({
        code: 'JSON_INVALID',
      })
    expect(counted).toEqual(['m 3 000000000000 JSON_INVALID', '   JSON_INVALID', '   JSON_INVALID'])
    expect(statistics.known()).toEqual([])
  })
})

describe('the list of statistics', () => {
  const entry = (model: string, number: string, state: 'ready' | 'unavailable') => ({
    model,
    version: number,
    state,
    reason: '',
  })
  const serving = {
    ...servingThat(async () => ({ version, outputs: {} })),
    index: async () => [entry('a', '1', 'unavailable'), entry('a', '2', 'ready'), entry('b', '1', 'unavailable')],
  }

  it('has what is loaded or was asked for, in the order of the registry, and what is gone at the end', async () => {
    const statistics = new Statistics()
    statistics.of('gone', '9').failed(1)
    statistics.of('b', '1').failed(1)
    const all = await listStatistics({ serving, statistics }, {})
    expect(all).toEqual([
      ['a', '2'],
      ['b', '1'],
      ['gone', '9'],
    ])
    expect(await listStatistics({ serving, statistics }, { model: 'a' })).toEqual([['a', '2']])
  })

  it('of one version is that one under its number, and a model that is not there is refused', async () => {
    const source = { serving, statistics: new Statistics() }
    expect(await listStatistics(source, { model: 'm', version: 'latest' })).toEqual([['m', '3']])
    await expect(listStatistics(source, { model: 'none' })).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
  })
})
