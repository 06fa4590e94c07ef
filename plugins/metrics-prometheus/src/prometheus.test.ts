import { createHost, tokens } from '@tideway/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { metricsPrometheus } from './plugin.js'
import { PrometheusMetrics } from './prometheus.js'

const OPEN = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5'
const make = (maxSeries = 100) => new PrometheusMetrics({ maxSeries })

/** Lines of a metric, without what the package counts of itself. */
async function linesOf(metrics: PrometheusMetrics, accept?: string): Promise<string[]> {
  const { text } = await metrics.read(accept)
  return text.split('\n').filter((line) => line !== '' && !line.includes('dropped_series'))
}

describe('metrics for Prometheus', () => {
  it('are told with help, type and labels', async () => {
    const metrics = make()
    const loads = metrics.counter({ name: 'loads_total', help: 'Loads\nthat "ended"', labels: ['result', 'model'] })
    loads.of({ model: 'a"b\\c\nd', result: 'done' }).add()
    loads.of({ model: 'a"b\\c\nd', result: 'done' }).add(2)
    metrics.gauge({ name: 'bytes', help: 'Bytes' }).of({}).set(1.5e9)
    expect(await linesOf(metrics)).toEqual([
      '# HELP loads_total Loads\\nthat "ended"',
      '# TYPE loads_total counter',
      'loads_total{result="done",model="a\\"b\\\\c\\nd"} 3',
      '# HELP bytes Bytes',
      '# TYPE bytes gauge',
      'bytes 1500000000',
    ])
  })

  it('are told in OpenMetrics where that is asked for, in which names that are none of a counter stay as they are', async () => {
    const metrics = make()
    metrics.counter({ name: 'loads_total', help: 'Loads' }).of({}).add()
    metrics.counter({ name: 'nv_inference_count', help: 'Rows' }).of({}).reach(7)
    for (let reading = 0; reading < 2; reading++)
      expect(await linesOf(metrics, OPEN)).toEqual([
        '# HELP loads Loads',
        '# TYPE loads counter',
        'loads_total 1',
        '# HELP nv_inference_count Rows',
        '# TYPE nv_inference_count unknown',
        'nv_inference_count 7',
        '# EOF',
      ])
    expect((await linesOf(metrics)).filter((line) => line.startsWith('# TYPE'))).toEqual([
      '# TYPE loads_total counter',
      '# TYPE nv_inference_count counter',
    ])
    expect((await metrics.read(OPEN)).contentType).toMatch(/^application\/openmetrics-text/)
    expect((await metrics.read('*/*')).contentType).toMatch(/^text\/plain; version=0\.0\.4/)
  })

  it('lead from a bucket to the trace of an example, in OpenMetrics alone', async () => {
    const metrics = make()
    const seconds = metrics.histogram({ name: 's', help: 'S', buckets: [0.1, 1] }).of({})
    seconds.observe(0.5, 'ab'.repeat(16))
    seconds.observe(0.05)
    const lines = await linesOf(metrics, OPEN)
    expect(lines.find((line) => line.includes('le="1"'))).toMatch(
      /^s_bucket\{le="1"\} 2 # \{trace_id="(ab){16}"\} 0\.5 \d+\.\d{3}$/,
    )
    expect(lines.filter((line) => line.includes('trace_id'))).toHaveLength(1)
    expect((await linesOf(metrics)).join()).not.toContain('trace_id')
  })

  it('count each value in every bucket that it is not above', async () => {
    const buckets = [-1, 0, 0.5, 10]
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(fc.float(), fc.constantFrom(...buckets))), async (values) => {
        const metrics = make()
        const series = metrics.histogram({ name: 'h', help: 'H', buckets }).of({})
        for (const value of values) series.observe(value)
        const finite = values.filter(Number.isFinite)
        const counts = buckets.map((le) => `h_bucket{le="${le}"} ${finite.filter((value) => value <= le).length}`)
        const sum = finite.reduce((total, value) => total + value, 0)
        expect((await linesOf(metrics)).slice(2)).toEqual([
          ...counts,
          `h_bucket{le="+Inf"} ${finite.length}`,
          `h_sum ${sum}`,
          `h_count ${finite.length}`,
        ])
      }),
    )
  })

  it('are shared by name, unless they are not the same', () => {
    const metrics = make()
    const spec = { name: 'h', help: 'H', labels: ['model'], buckets: [1, 2] } as const
    expect(metrics.histogram(spec)).toBe(metrics.histogram(spec))
    for (const other of [
      { ...spec, buckets: [1, 3] },
      { ...spec, labels: ['version'] as const },
    ])
      expect(() => metrics.histogram<'model' | 'version'>(other)).toThrow(
        expect.objectContaining({ code: 'METRIC_CONFLICT' }) as Error,
      )
    expect(() => metrics.counter({ name: 'h', help: 'H', labels: ['model'] })).toThrow(/a histogram, not a counter/)
  })

  it('are refused by what is wrong with them, all of it', () => {
    const labels = ['le', 'ok', '__name__'] as const
    expect(() => make().histogram({ name: '1st', help: '', labels, buckets: [1, 1] })).toThrow(
      expect.objectContaining({
        code: 'METRIC_INVALID',
        data: { metric: '1st', issues: expect.any(Array) as string[] },
      }) as Error,
    )
    expect(() => make().histogram({ name: '1st', help: '', labels, buckets: [1, 1] })).toThrow(
      /none of Prometheus; le is no name for a label; __name__ is no name for a label; its buckets do not rise/,
    )
  })

  it('forget a series that is removed, and keep no more than they may', async () => {
    const metrics = make(2)
    const rows = metrics.counter({ name: 'rows_total', help: 'Rows', labels: ['model'] })
    for (const model of ['a', 'b', 'c', 'd']) rows.of({ model }).add()
    expect((await linesOf(metrics)).slice(2)).toEqual(['rows_total{model="a"} 1', 'rows_total{model="b"} 1'])
    expect((await metrics.read()).text).toContain('tideway_metrics_dropped_series_total 2\n')
    rows.remove({ model: 'a' })
    rows.of({ model: 'e' }).add(5)
    expect((await linesOf(metrics)).slice(2)).toEqual(['rows_total{model="b"} 1', 'rows_total{model="e"} 5'])
  })

  it('are refreshed before they are read, and read in spite of one that cannot be', async () => {
    const warned: string[] = []
    const metrics = new PrometheusMetrics({ maxSeries: 9, logger: () => ({ warn: (message) => warned.push(message) }) })
    const age = metrics.gauge({ name: 'age', help: 'Age' }).of({})
    metrics.onRead(() => {
      throw new Error('no')
    })
    metrics.onRead(async () => age.set(4))
    expect(await linesOf(metrics)).toContain('age 4')
    expect(warned).toEqual(['some metrics could not be refreshed'])
  })
})

describe('metrics of several processes', () => {
  it('are told as one, but for what is of a process itself', async () => {
    const [main, other] = [make(), make()]
    for (const [metrics, rows, heap] of [
      [main, 2, 10],
      [other, 3, 20],
    ] as const) {
      metrics
        .counter({ name: 'rows_total', help: 'Rows', labels: ['model'] })
        .of({ model: 'a' })
        .add(rows)
      metrics
        .histogram({ name: 's', help: 'S', buckets: [1] })
        .of({})
        .observe(rows)
      metrics.gauge({ name: 'nodejs_heap_bytes', help: 'Heap' }).of({}).set(heap)
    }
    other
      .counter({ name: 'rows_total', help: 'Rows', labels: ['model'] })
      .of({ model: 'b' })
      .add()
    main.gatherFrom(async () => [structuredClone(await other.readings())])
    expect((await linesOf(main)).filter((line) => !line.startsWith('#'))).toEqual([
      'rows_total{model="a"} 5',
      'rows_total{model="b"} 1',
      's_bucket{le="1"} 0',
      's_bucket{le="+Inf"} 2',
      's_sum 5',
      's_count 2',
      'nodejs_heap_bytes 10',
      'nodejs_heap_bytes{process="serving-0"} 20',
    ])
    expect(await linesOf(other)).toContain('rows_total{model="a"} 3')
  })
})

describe('the plugin', () => {
  it('measures the process, in both forms', async () => {
    const host = createHost()
    host.use(metricsPrometheus())
    const metrics = host.get(tokens.metrics)
    for (const accept of [OPEN, 'text/plain', OPEN]) {
      const { text } = await metrics.read(accept)
      for (const name of [
        'process_cpu_seconds_total',
        'process_resident_memory_bytes',
        'nodejs_eventloop_lag_p99_seconds',
      ])
        expect(text).toMatch(new RegExp(`^${name} \\d`, 'm'))
      expect(text).toMatch(/^nodejs_heap_space_size_used_bytes\{space="new"\} \d/m)
    }
  })
})
