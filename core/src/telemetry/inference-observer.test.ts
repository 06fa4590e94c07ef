import { describe, expect, it } from 'vitest'
import type { InferTiming, RunInfo } from '../contracts/cloud.js'
import { errors } from '../errors.js'
import { runMeasured } from '../inference/measured.js'
import { Statistics } from '../inference/statistics.js'
import { InferenceObserver } from './inference-observer.js'
import { recordMetrics, recordSpans } from './recorder.fixture.js'

const digest = 'a1b2c3d4e5f60718'.repeat(4)
const version = { model: 'm', version: 3, manifestDigest: digest, createdAt: '2026-01-01T00:00:00.000Z' }
const LABELS = 'model=m,version=3,digest=a1b2c3d4e5f6'
const timing: InferTiming = { queueNs: 2e6, runNs: 5e6, rows: 2, batchSize: 6, leads: true }
const times = { beganMs: 100, decodedMs: 101, ranMs: 109, endedMs: 110 }

function observed() {
  const recorded = recordMetrics()
  const statistics = new Statistics(recorded.metrics)
  return { ...recorded, statistics, observer: statistics.observer }
}

describe('inference requests', () => {
  it('are counted by model, version and the beginning of its digest; a run once, whoever shared it', async () => {
    const { observer, observedBy, valueOf, refresh } = observed()
    observer.began()
    observer.answered({ ...times, version, timing, span: undefined, bytesIn: 10, bytesOut: 20 })
    observer.answered({ ...times, version, timing: { ...timing, leads: false }, span: undefined })
    expect(observedBy(`tideway_inference_request_duration_seconds{${LABELS}}`)).toEqual([0.01, 0.01])
    expect(observedBy(`tideway_inference_queue_duration_seconds{${LABELS}}`)).toEqual([0.002, 0.002])
    expect(observedBy(`tideway_inference_run_duration_seconds{${LABELS}}`)).toEqual([0.005])
    expect(valueOf(`tideway_inference_request_bytes_total{${LABELS}}`)).toBe(10)
    expect(valueOf(`tideway_inference_response_bytes_total{${LABELS}}`)).toBe(20)
    await refresh()
    expect(valueOf('tideway_inference_requests_in_flight{}')).toBe(1)
    observer.ended()
    await refresh()
    expect(valueOf('tideway_inference_requests_in_flight{}')).toBe(0)
  })

  it('that fail are counted by code, and make no series of names that are not there', async () => {
    const { statistics, valueOf, names, refresh } = observed()
    const serving = {
      async metadata(model: string) {
        if (model !== 'm') throw errors.MODEL_NOT_FOUND({ model })
        return { version, versions: ['3'], platform: 'none', signature: { inputs: [], outputs: [] } }
      },
      infer: (model: string) =>
        Promise.reject(model === 'm' ? errors.RUN_FAILED({ reason: 'it had to' }) : errors.MODEL_NOT_FOUND({ model })),
    }
    const form = { decode: () => ({ inputs: {} }), encode: () => '' }
    const ask = (model: string) => runMeasured({ serving, statistics }, { model }, form).catch(() => undefined)
    for (const model of ['m', 'm', 'x', 'y', 'z']) await ask(model)
    expect(valueOf(`tideway_inference_failures_total{${LABELS},code=RUN_FAILED}`)).toBe(2)
    expect(valueOf('nv_inference_request_failure{model=m,version=3,reason=BACKEND}')).toBe(2)
    expect(valueOf('tideway_inference_failures_total{model=,version=,digest=,code=MODEL_NOT_FOUND}')).toBe(3)
    expect(names().filter((name) => /[xyz]/.test(name.split('{')[1] ?? ''))).toEqual([])
    await refresh()
    expect(valueOf('tideway_inference_requests_in_flight{}')).toBe(0)
  })

  it('are told by Triton’s names, out of what its statistics extension tells', async () => {
    const { statistics, observer, valueOf, refresh } = observed()
    const measured = { ...timing, totalNs: 10e6, inputNs: 1e6, inferNs: 5e6, outputNs: 1e6 }
    for (const leads of [true, false]) {
      statistics.of('m', '3').succeeded({ ...measured, leads })
      observer.answered({ ...times, version, timing: { ...timing, leads }, span: undefined })
    }
    await refresh()
    const of = (name: string) => valueOf(`nv_inference_${name}{model=m,version=3}`)
    expect([of('request_success'), of('count'), of('exec_count')]).toEqual([2, 4, 1])
    expect([of('request_duration_us'), of('queue_duration_us')]).toEqual([20_000, 4_000])
    expect(of('compute_infer_duration_us')).toBe(10_000)
    expect([of('compute_input_duration_us'), of('compute_output_duration_us')]).toEqual([2_000, 2_000])
    const cacheOf = (name: string) => valueOf(`nv_cache_${name}_per_model{model=m,version=3}`)
    expect(cacheOf('num_hits')).toBeUndefined()
    for (const result of ['hit', 'hit', 'miss', 'bypass'] as const)
      statistics.of('m', '3').succeeded({ ...measured, cache: { result, ns: 3e6 } })
    await refresh()
    expect([cacheOf('num_hits'), cacheOf('num_misses')]).toEqual([2, 1])
    expect([cacheOf('hit_duration'), cacheOf('miss_duration')]).toEqual([6_000, 3_000])
  })

  it('leave no series of a version that nobody has used for an hour', async () => {
    let now = 0
    const { metrics, names, refresh } = recordMetrics()
    const statistics = new Statistics()
    const observer = new InferenceObserver(
      metrics,
      (model, number) => statistics.of(model, number).totals,
      () => now,
    )
    const next = { ...version, version: 4, manifestDigest: 'f'.repeat(64) }
    for (const of of [version, next]) {
      observer.answered({ ...times, version: of, timing, span: undefined })
      observer.failed('RUN_FAILED', of)
    }
    await refresh()
    expect(names().filter((name) => name.includes('version=3'))).toHaveLength(15)
    now = 3_600_000
    observer.answered({ ...times, version: next, timing, span: undefined })
    await refresh()
    expect(names().some((name) => name.includes('version=3'))).toBe(true)
    now += 1
    await refresh()
    expect(names().filter((name) => name.includes('version=3'))).toEqual([])
    expect(names().filter((name) => name.includes('version=4'))).toHaveLength(15)
  })

  it('are told of the versions in memory, and of the 64 last used of those that are gone; counting begins anew behind that', async () => {
    const { metrics, names, valueOf, refresh } = recordMetrics()
    let inUse = [version]
    const statistics = new Statistics(metrics, () => inUse)
    const ask = (number: number) => {
      const asked = { ...version, version: number }
      statistics.of('m', String(number)).succeeded({ ...timing, totalNs: 1, inputNs: 1, inferNs: 1, outputNs: 1 })
      statistics.observer.answered({ ...times, version: asked, timing, span: undefined })
    }
    for (let number = 3; number <= 200; number++) {
      inUse = [version, { ...version, version: number }]
      ask(number)
    }
    const told = ['3', ...Array.from({ length: 65 }, (_, at) => String(136 + at))]
    expect(statistics.known().map(([, number]) => number)).toEqual(told)
    await refresh()
    const versions = new Set(names().flatMap((name) => /version=(\d+)/.exec(name)?.[1] ?? []))
    expect([...versions].sort((a, b) => Number(a) - Number(b))).toEqual(told)
    ask(50)
    ask(3)
    await refresh()
    expect(valueOf('nv_inference_request_success{model=m,version=50}')).toBe(1)
    expect(valueOf('nv_inference_request_success{model=m,version=3}')).toBe(2)
  })
})

describe('the span of an inference request', () => {
  it('has its steps in it, with their times', () => {
    const { observer } = observed()
    const { spans, start } = recordSpans()
    const run: RunInfo = { closed: 'free', rows: 6, requests: 1 }
    observer.answered({ ...times, version, timing: { ...timing, run }, span: start('request') })
    const found = spans.map(({ name, parent, options, endMs }) => [name, parent, options.startMs, endMs])
    expect(found.slice(1)).toEqual([
      ['decode', 'request', 100, 101],
      ['encode', 'request', 109, 110],
      ['queue', 'request', 101, 103],
      ['batch', 'request', 103, 109],
      ['infer', 'batch', 103, 108],
    ])
    expect(spans[0]?.attributes).toEqual({
      'tideway.model.name': 'm',
      'tideway.model.version': '3',
      'tideway.model.digest': digest,
      'tideway.rows': 2,
    })
    expect(spans[4]?.attributes).toEqual({
      'tideway.batch.rows': 6,
      'tideway.batch.requests': 1,
      'tideway.batch.closed': 'free',
    })
  })

  it('says with a link with which other requests it shared its run', async () => {
    const { observer } = observed()
    const { spans, start } = recordSpans()
    const [run, other]: RunInfo[] = [
      { closed: 'full', rows: 6, requests: 3 },
      { closed: 'full', rows: 6, requests: 3 },
    ]
    for (const [name, of] of [
      ['a', run],
      ['b', run],
      ['c', other],
      ['d', run],
    ] as const)
      observer.answered({ ...times, version, timing: { ...timing, run: of! }, span: start(name) })
    await expect.poll(() => spans.filter(({ name }) => name === 'batch').length).toBe(4)
    const linked = spans
      .filter(({ name }) => name === 'batch')
      .map(({ parent, options }) => [parent, options.links?.map(({ spanId }) => spanId.split('-')[0])])
    expect(Object.fromEntries(linked)).toEqual({ a: ['b', 'd'], b: ['a', 'd'], c: [], d: ['a', 'b'] })
  })

  it('has no run where its answer was kept', () => {
    const { observer } = observed()
    const { spans, start } = recordSpans()
    const hit: InferTiming = { ...timing, runNs: 0, leads: false, cache: { result: 'hit', ns: 1 } }
    observer.answered({ ...times, version, timing: hit, span: start('request') })
    expect(spans.map(({ name }) => name)).toEqual(['request', 'decode', 'encode', 'cache'])
  })

  it('has a step for the answer where its host measures nothing', () => {
    const { observer } = observed()
    const { spans, start } = recordSpans()
    observer.answered({ ...times, version, timing: undefined, span: start('request') })
    expect(spans.map(({ name }) => name)).toEqual(['request', 'decode', 'encode', 'infer'])
  })
})
