import { describe, expect, it } from 'vitest'
import { definePlugin } from '../plugin/plugin.js'
import { issuesOf } from '../wire/parse.js'
import { configDefaults, resolveConfig } from './config.js'
import { publicUrl } from './public-url.js'
import { cloudConfigSchema } from './schema.js'

it('fills in defaults, and lets later configurations win field by field', () => {
  const config = resolveConfig({ http: { port: 1, host: '::1' }, dir: 'a' }, { http: { port: 2 } })
  expect(config.http).toMatchObject({ port: 2, host: '::1', apiKeys: [] })
  expect(config.dir).toBe('a')
  expect(config.roles).toEqual(configDefaults.roles)
})

it('takes a given 0 as given', () => {
  expect(resolveConfig({ http: { port: 0 } }).http.port).toBe(0)
})

it('has no gRPC unless it is given, and then on loopback where clients of Triton look for it', () => {
  expect(resolveConfig({}).grpc).toBeUndefined()
  expect(resolveConfig({ grpc: {} }).grpc).toEqual({ host: '127.0.0.1', port: 8001, tls: undefined })
  const tls = { cert: 'c', key: 'k' }
  expect(resolveConfig({ grpc: { host: '::', tls } }, { grpc: { port: 0 } }).grpc).toEqual({ host: '::', port: 0, tls })
})

it('takes limits of HTTP one by one', () => {
  const [file, line] = [
    { maxInferBodyBytes: 5, bodyIdleMs: 6 },
    { bodyIdleMs: 7, heartbeatMs: undefined },
  ]
  expect(resolveConfig({ http: { limits: file } }, { http: { limits: line } }).http.limits).toEqual({
    maxInferBodyBytes: 5,
    bodyIdleMs: 7,
  })
  expect(resolveConfig({}).http.limits).toEqual({})
})

it('takes the transport as one choice: a later one is instead of an earlier one', () => {
  const nats = { nats: { url: 'nats://a' } }
  const mqtt = { mqtt: { url: 'mqtt://b' } }
  expect(resolveConfig(nats, mqtt)).toMatchObject({ natsUrl: undefined, mqttUrl: 'mqtt://b' })
  expect(resolveConfig(mqtt, nats, {})).toMatchObject({ natsUrl: 'nats://a', mqttUrl: undefined })
})

it('fills in how models are run, the cache only where there is one', () => {
  const { serving } = resolveConfig({ serving: { maxModels: 2, maxDelayMs: 1 } }, { serving: { maxDelayMs: 0 } })
  expect(serving).toMatchObject({ maxModels: 2, maxDelayMs: 0, maxBatchRows: 32, maxQueuedRows: 4096 })
  expect(serving).toMatchObject({ maxModelBytes: undefined, cache: undefined })
  const { cache } = resolveConfig(
    { serving: { cache: { maxBytes: 10, models: ['m'] } } },
    { serving: { cache: {} } },
  ).serving
  expect(cache).toEqual({ maxBytes: 2 ** 26, maxEntries: 100_000, maxRequestBytes: 2 ** 20, models: undefined })
})

it('tells others addresses without user names and passwords', () => {
  expect(publicUrl('nats://u:p@a:4222,u@b:4222,u:p@c')).toBe('nats://a:4222,b:4222,c')
  expect(publicUrl('mqtt://a:1883')).toBe('mqtt://a:1883')
})

describe('a configuration', () => {
  const issuesIn = (config: unknown) => {
    const { error } = cloudConfigSchema.safeParse(config)
    return error ? issuesOf(error) : []
  }
  const webhook = definePlugin({ name: 'webhook', register() {} })

  it('may leave everything out, and may have everything', () => {
    expect(issuesIn({})).toEqual([])
    const full = {
      dir: 'd',
      roles: ['api', 'trainer'],
      http: { host: '::1', port: 0, apiKeys: ['k'], stickyHeader: 'x-user', limits: { maxInferBodyBytes: 1 } },
      grpc: { host: '::1', port: 0, tls: { cert: 'c', key: 'k', ca: 'a' } },
      broker: { host: '::1', port: 0 },
      nats: { url: 'nats://a' },
      postgres: { url: 'postgres://a/b', chunksDir: 'c' },
      cloud: { url: 'http://c' },
      drift: { alarmRate: 0.01 },
      trainer: { providers: ['webgpu', 'cpu'] },
      serving: {
        maxBatchRows: 1,
        maxDelayMs: 0.5,
        maxQueuedRows: 1,
        maxModels: 1,
        maxModelBytes: 1,
        cache: { maxBytes: 1, maxEntries: 1, maxRequestBytes: 1, models: ['m'] },
      },
      logs: { level: 'warn', requests: 'all' },
      traces: { url: 'http://collector:4318', sampleRatio: 0.01 },
      plugins: [webhook()],
    }
    expect(issuesIn(full)).toEqual([])
    expect(resolveConfig(full as never)).toMatchObject({ chunksDir: 'c', cloudUrl: 'http://c' })
  })

  it('has every mistake named: unknown roles and keys, a plugin that is not called, ports, rates, URLs', () => {
    const issues = issuesIn({
      roles: ['montor'],
      http: { prot: 1, port: 65_536, limits: { maxInferBodyBytes: 0, bodyIdleMs: 2 ** 31, maxBodyBytes: 1 } },
      drift: { alarmRate: 0 },
      cloud: { url: 'somewhere' },
      serving: { maxBatchRows: 0, maxDelayMs: -1, maxQueuedRows: 1.5, maxModels: 0, cache: { maxBytes: 0, ttl: 1 } },
      plugins: [webhook, 7],
      rolls: [],
    })
    expect(issues).toEqual([
      expect.stringMatching(/^roles\.0: .*"monitor"/),
      expect.stringMatching(/^http\.port: /),
      expect.stringMatching(/^http\.limits\.maxInferBodyBytes: /),
      expect.stringMatching(/^http\.limits\.bodyIdleMs: /),
      expect.stringMatching(/^http\.limits: .*"maxBodyBytes"/),
      expect.stringMatching(/^http: .*"prot"/),
      expect.stringMatching(/^cloud\.url: /),
      expect.stringMatching(/^drift\.alarmRate: /),
      expect.stringMatching(/^serving\.maxBatchRows: /),
      expect.stringMatching(/^serving\.maxDelayMs: /),
      expect.stringMatching(/^serving\.maxQueuedRows: /),
      expect.stringMatching(/^serving\.maxModels: /),
      expect.stringMatching(/^serving\.cache\.maxBytes: /),
      expect.stringMatching(/^serving\.cache: .*"ttl"/),
      'plugins.0: is not called: write it with (), options within',
      'plugins.1: is no plugin',
      expect.stringMatching(/"rolls"/),
    ])
  })

  it('has one transport', () => {
    expect(issuesIn({ nats: { url: 'a' }, mqtt: { url: 'b' } })).toEqual(['mqtt: give either nats or mqtt'])
  })
})
