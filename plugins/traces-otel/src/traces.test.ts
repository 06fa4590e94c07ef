import { createHost, definePlugin, type Logger, silentLogger, type Tracer, tokens } from '@tideway/core'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { tracesOtel } from './plugin.js'
import { type Receiver, startReceiver } from './receiver.fixture.js'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = 'b7ad6b7169203331'
const callerOf = (flags: string) => ({ traceparent: `00-${TRACE}-${PARENT}-${flags}` })

let receiver: Receiver | undefined
afterEach(async () => {
  vi.unstubAllEnvs()
  await receiver?.stop()
  receiver = undefined
})

/** What is traced, as a collector gets it. */
async function traced(work: (tracer: Tracer) => void, options: object = {}) {
  receiver = await startReceiver()
  const host = createHost()
  host.use(tracesOtel({ url: receiver.url, ...options }))
  await host.start()
  work(host.get(tokens.tracer))
  await host.stop()
  return receiver
}

describe('traces over OTLP', () => {
  it('have spans with times, kinds, attributes, links and failures, under one service', async () => {
    const startMs = performance.now()
    const link = { traceId: 'ab'.repeat(16), spanId: 'cd'.repeat(8) }
    const { spans, paths } = await traced((tracer) => {
      const server = tracer.start('POST /infer', { kind: 'server', startMs, attributes: { 'http.route': '/infer' } })
      const run = server?.child('run', { startMs: startMs + 10, links: [link], attributes: { rows: 3, alone: false } })
      run?.set({ late: true })
      run?.end(startMs + 30)
      server?.fail('SERVING_BUSY')
      server?.end(startMs + 40)
    })
    expect(paths).toEqual(['POST /v1/traces application/x-protobuf'])
    const [run, server] = spans
    expect(server).toMatchObject({ name: 'POST /infer', kind: 2, parentSpanId: '' })
    expect(server?.attributes).toEqual({ 'http.route': '/infer', 'error.type': 'SERVING_BUSY' })
    expect(server?.status).toMatchObject({ message: 'SERVING_BUSY' })
    expect(server?.resource).toMatchObject({ 'service.name': 'tideway', 'process.pid': process.pid })
    expect(run).toMatchObject({ name: 'run', kind: 1, traceId: server?.traceId, parentSpanId: server?.spanId })
    expect(run).toMatchObject({ attributes: { rows: 3, alone: false, late: true }, links: [link] })
    // Of one clock, to a microsecond; and of the time of day.
    expect((run?.startMs ?? 0) - (server?.startMs ?? 0)).toBeCloseTo(10, 2)
    expect(Math.abs((server?.startMs ?? 0) - (Date.now() - performance.now() + startMs))).toBeLessThan(50)
    expect((run?.endMs ?? 0) - (run?.startMs ?? 0)).toBeCloseTo(20, 2)
    expect((server?.endMs ?? 0) - (server?.startMs ?? 0)).toBeCloseTo(40, 2)
  })

  it('go on from a caller that samples, and only from one that does, whatever the ratio is here', async () => {
    const { spans } = await traced(
      (tracer) => {
        tracer.start('sampled', { caller: callerOf('01') })?.end()
        expect(tracer.start('not sampled', { caller: callerOf('00') })).toBeUndefined()
        expect(tracer.start('own')).toBeUndefined()
        expect(tracer.start('unreadable', { caller: { traceparent: '00-xyz-1-01' } })).toBeUndefined()
      },
      { sampleRatio: 0 },
    )
    expect(spans).toHaveLength(1)
    expect(spans[0]).toMatchObject({ name: 'sampled', traceId: TRACE, parentSpanId: PARENT })
  })

  it('begin for the share of requests that is asked for', async () => {
    let begun = 0
    await traced(
      (tracer) => {
        for (let at = 0; at < 4_000; at++) {
          const span = tracer.start('own')
          if (span) begun++
          span?.end()
        }
        expect(tracer.start('not sampled', { caller: callerOf('00') })).toBeUndefined()
      },
      { sampleRatio: 0.25 },
    )
    // Six standard deviations.
    expect(begun).toBeGreaterThan(1_000 - 165)
    expect(begun).toBeLessThan(1_000 + 165)
  })

  it('follow the environment variables of OpenTelemetry where no option says otherwise', async () => {
    const own = await startReceiver()
    receiver = own
    vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', own.url)
    vi.stubEnv('OTEL_TRACES_SAMPLER', 'parentbased_always_off')
    vi.stubEnv('OTEL_SERVICE_NAME', 'models')
    vi.stubEnv('OTEL_RESOURCE_ATTRIBUTES', 'deployment.environment.name=test')
    const host = createHost()
    host.use(tracesOtel())
    await host.start()
    const tracer = host.get(tokens.tracer)
    expect(tracer.start('own')).toBeUndefined()
    tracer.start('sampled', { caller: callerOf('01') })?.end()
    await host.stop()
    expect(own.spans.map(({ name }) => name)).toEqual(['sampled'])
    expect(own.spans[0]?.resource).toMatchObject({ 'service.name': 'models', 'deployment.environment.name': 'test' })
  })

  it('say so in the log when they cannot be sent', async () => {
    receiver = await startReceiver(400)
    const warned: object[] = []
    const logger: Logger = { ...silentLogger, warn: (message, data) => warned.push({ message, ...data }) }
    const logs = definePlugin({
      name: 'logs',
      provides: [tokens.logger],
      register: (scope) => scope.provide(tokens.logger, () => logger),
    })
    const host = createHost()
    host.use(logs(), tracesOtel({ url: `${receiver.url}/here` }))
    await host.start()
    for (let at = 0; at < 3; at++) host.get(tokens.tracer).start('lost')?.end()
    await host.stop()
    expect(receiver.paths[0]).toContain('POST /here ')
    expect(warned).toEqual([
      { message: 'spans of traces could not be sent and are lost', spans: 3, error: expect.any(String) as string },
    ])
  })
})
