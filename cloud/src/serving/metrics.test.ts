import { type CacheTotals, type Registry, type Session, type Tensor, type VersionRecord } from '@tideway/core'
import { PrometheusMetrics } from '@tideway/metrics-prometheus'
import { beforeEach, describe, expect, it } from 'vitest'
import { type Batch, DEFAULT_BATCHING } from './batch.js'
import { Batcher } from './batcher.js'
import { ServingMetrics } from './metrics.js'
import { ModelHost } from './model-host.js'
import { Switcher } from './switcher.js'

const digestOf = (version: number) => String(version).repeat(64)
const versionOf = (version: number): VersionRecord => ({
  model: 'm',
  version,
  manifestDigest: digestOf(version),
  createdAt: '2026-01-01T00:00:00.000Z',
})
const x: Tensor = { dtype: 'float32', shape: [1, 2], data: Float32Array.of(1, 2) }
const BROKEN = digestOf(9)

/** Answers what it is given, once it is let. */
function sessionUntil(let_: Promise<void>): Session {
  const spec = { name: 'x', dtype: 'float32', shape: [null, 2] } as const
  return {
    signature: { inputs: [spec], outputs: [spec] },
    async run(inputs) {
      await let_
      return inputs
    },
    dispose: async () => undefined,
  }
}

let metrics: PrometheusMetrics
let host: ModelHost
let switcher: Switcher
let letRun: () => void

beforeEach(() => {
  metrics = new PrometheusMetrics({ maxSeries: 100 })
  const running = new Promise<void>((resolve) => {
    letRun = resolve
  })
  const load = async (digest: string, onBatch: (batch: Batch) => void) => {
    if (digest === BROKEN) throw new Error('it is broken')
    return { batcher: new Batcher(sessionUntil(running), DEFAULT_BATCHING, onBatch), bytes: 1_000 }
  }
  const registry = () => ({ resolve: async () => versionOf(1), versions: async () => [] }) as unknown as Registry
  const counted = new ServingMetrics(metrics, () => host.loaded())
  const options = { registry, load, metrics: () => counted, sizeOf: async () => 1, maxSessions: 2, maxBytes: 1e9 }
  host = new ModelHost(options)
  const logger = () => ({ error: () => undefined })
  const isReady = (version: VersionRecord) => host.isReady(version)
  switcher = new Switcher({ load: (version) => host.session(version), isReady, logger, metrics: () => counted })
})

/** Lines of a metric, without the labels that are the same everywhere. */
async function lines(name: string): Promise<string[]> {
  const { text } = await metrics.read()
  const found = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
  return found.map((line) =>
    line
      .slice(name.length)
      .replace(/model="m",version="(\d)"(,digest="\d{12}")?,?/, '$1 ')
      .trim(),
  )
}

describe('what is loaded', () => {
  it('is told as it is when somebody reads, with the whole digest once', async () => {
    expect(await lines('tideway_models_loaded')).toEqual(['0'])
    for (const version of [1, 2]) await host.session(versionOf(version))
    expect(await lines('tideway_models_loaded')).toEqual(['2'])
    expect(await lines('tideway_model_bytes')).toEqual(['{1 } 1000', '{2 } 1000'])
    expect(await lines('tideway_model_info')).toContain(`{1 manifest_digest="${digestOf(1)}"} 1`)
    await host.session(versionOf(3))
    await expect.poll(() => lines('tideway_model_bytes')).toEqual(['{2 } 1000', '{3 } 1000'])
    expect(await lines('tideway_model_evictions_total')).toEqual(['1'])
    await host.unload('m')
    expect(await lines('tideway_model_bytes')).toEqual([])
    expect(await lines('tideway_model_info')).toEqual([])
  })

  it('is counted, and what could not be', async () => {
    await host.session(versionOf(1))
    await expect(host.session(versionOf(9))).rejects.toThrow()
    expect(await lines('tideway_model_loads_total')).toEqual(['{result="done"} 1', '{result="failed"} 1'])
    expect(await lines('tideway_model_load_duration_seconds_count')).toEqual(['1'])
  })
})

describe('what waits and what runs', () => {
  it('is told by version, with the reasons why runs had no more requests in them', async () => {
    const batcher = await host.session(versionOf(1))
    const first = batcher.run({ x })
    await expect.poll(() => lines('tideway_inference_batches_total')).toEqual(['{1 closed="free"} 1'])
    const others = [batcher.run({ x }), batcher.run({ x: { ...x, shape: [40, 2], data: new Float32Array(80) } })]
    expect(await lines('tideway_inference_queued_rows')).toEqual(['{1 } 41'])
    expect(await lines('nv_inference_pending_request_count')).toEqual(['{1 } 2'])
    letRun()
    const runs = await Promise.all([first, ...others])
    expect(runs.map(({ run }) => run?.closed)).toEqual(['free', 'full', 'full'])
    expect(await lines('tideway_inference_queued_rows')).toEqual(['{1 } 0'])
    expect(await lines('tideway_inference_batches_total')).toEqual(['{1 closed="free"} 1', '{1 closed="full"} 2'])
    expect(await lines('tideway_inference_batch_rows_sum')).toEqual(['{1 } 42'])
  })
})

describe('runs of versions', () => {
  it('are told of those that are loaded, and of the 64 last used of those that are gone', async () => {
    const other = new PrometheusMetrics({ maxSeries: 1_000 })
    const loaded = { version: versionOf(1), bytes: 1, waiting: { requests: 0, rows: 0 } }
    const counted = new ServingMetrics(other, () => [loaded])
    for (let version = 1; version <= 100; version++)
      counted.batch({ ...versionOf(1), version }, { closed: 'free', rows: 1, requests: 1 })
    const { text } = await other.read()
    const told = [...text.matchAll(/^tideway_inference_batches_total\{model="m",version="(\d+)"/gm)]
    expect(told.map(([, version]) => Number(version))).toEqual([1, ...Array.from({ length: 64 }, (_, at) => 37 + at)])
  })
})

describe('the cache of answers', () => {
  it('is told of where there is one', async () => {
    expect(await lines('tideway_inference_cache_total')).toEqual([])
    const other = new PrometheusMetrics({ maxSeries: 100 })
    const totals = { hits: 3, misses: 2, bypassed: 1 }
    const counted = new ServingMetrics(
      other,
      () => [],
      () => totals as CacheTotals,
    )
    counted.evicted()
    const { text } = await other.read()
    const found = [...text.matchAll(/^tideway_inference_cache_total\{result="(\w+)"\} (\d)$/gm)]
    expect(found.map(([, result, count]) => [result, count])).toEqual([
      ['hit', '3'],
      ['miss', '2'],
      ['bypassed', '1'],
    ])
  })
})

describe('a switch to another version', () => {
  it('is counted once it is done, or could not be', async () => {
    switcher.answering('latest', versionOf(1))
    await host.session(versionOf(1))
    expect(await lines('tideway_model_switches_total')).toEqual(['{result="done"} 0', '{result="failed"} 0'])
    switcher.answering('latest', versionOf(2))
    await expect.poll(() => lines('tideway_model_switches_total')).toEqual(['{result="done"} 1', '{result="failed"} 0'])
    switcher.answering('latest', versionOf(9))
    await expect.poll(() => lines('tideway_model_switches_total')).toEqual(['{result="done"} 1', '{result="failed"} 1'])
  })
})
